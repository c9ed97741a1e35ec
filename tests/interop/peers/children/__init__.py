"""What runs in processes of its own: a library's session, and what is loaded into programs."""
