"""The one random generator of a run, Caffe's: MT19937, drawn in net order."""
