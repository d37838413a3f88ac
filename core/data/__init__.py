"""Data, from files to batches, in the order of the way they go.

source       the interface of all sources, and the choice among them
idx          IDX files (idx_file reads them)
datum        records that are Datums: lmdb (lmdb_file reads it), leveldb; decode for encoded images
shuffle      a source in random order
transformer  crop, mirror, mean (mean reads its file), scale
feed         batches, and where reading goes on after each
prefetch     a feed on a thread of its own
"""
