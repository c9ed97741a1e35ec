"""What a Node can be asked to do, by subject. Rate class: lookup and command."""
