"""Data, from files to batches, in the order of the way they go.

source       the interface of all sources, and the choice among them
idx          IDX files (idx_file reads them)
arrays       other arrays in memory: npz_file, csv_file
datum        records that are Datums: lmdb (lmdb_file reads it), leveldb; decode for encoded images; datum_label
shuffle      a source in random order
transformer  crop, mirror, mean (mean reads its file), scale
decoders     the threads that decode and transform the images of a batch
pieces       small records, read in larger pieces
feed         batches, and where reading goes on after each
prefetch     a feed on a thread of its own

image_list   a source of image files that a list names
hdf5         rows of HDF5 files, for HDF5Data
windows      batches of windows in images (window_file reads where they are), for WindowData

What databases are made of, and what can be told of a source:

writers      new databases, whole or not at all
image_set    a list of image files (image_files reads them) as records; convert: MNIST; cifar: CIFAR
compute_mean the mean image of a source
kinds        what a path holds; summary, summary_files: what is in it; contact_sheet: its first images as a picture
"""
