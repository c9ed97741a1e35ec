from fastdht._ext.buckets import KBuckets

class Placement(KBuckets):
    refused: int
