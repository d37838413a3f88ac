"""Data, from a source to batches, in the order of the way they go.

records      what a source is: numbered records, each an image and its label, in order or shuffled
sources      one kind a file, with its file format: idx, npz and csv, which are arrays; lmdb and leveldb, which hold
             datum; image_list; and for layers of their own windows and hdf5
open         what a path holds, and the source for it
images       image files and their pixels
transformer  crop, mirror, mean, scale
batches      feeds: batches of records, read and transformed, and where reading goes on after each
prefetch     a feed on a thread of its own, ahead of the net
"""
