#!/bin/sh
# bsub with the number of the job alone, as the executor wants it, instead of LSF's sentence around it.
bsub "$@" | sed -n 's/^Job <\([0-9]*\)>.*/\1/p'
