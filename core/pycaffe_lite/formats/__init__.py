"""Caffe's files and arrays: what stands in .caffemodel, .solverstate, .binaryproto and .resume files."""
