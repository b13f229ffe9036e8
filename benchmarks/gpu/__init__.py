"""Speed and memory on one GPU, of the library and of what would be written by hand instead, side by side in one run.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --sections scores inverses --budget 60 --out gpu.json
    python -m benchmarks.gpu --table benchmarks/results/gpu_nvidia_h100_80gb_hbm3.json

Every section is a file of this folder and writes each row as soon as it is there. Models have random weights, made on
the device from configurations: nothing is fetched. ``--sizes tiny`` runs everything on a CPU in seconds.
"""
