#!/bin/sh
# Installs torch into an environment that has all other packages: packaging/torch.sh PYTHON CHOICE, where CHOICE is
#   auto    cu130 where nvidia-smi lists a card, cpu elsewhere; index where PyTorch has no such builds (not Linux on x86_64)
#   cpu     PyTorch's build without CUDA: one wheel of 0.2 GB
#   cu126   PyTorch's build for CUDA 12.6, for older drivers; about as much as cu130
#   cu130   the package index's own, for CUDA 13.0, with hashes (requirements-cu130.lock): 20 files, 2.6 GB
#   index   what the package index, or a folder named by PIP_FIND_LINKS, gives for the plain release
#   FILE    a wheel that was brought by hand
# Every choice has the release that the lock names.
set -eu
cd "$(dirname "$0")/.."
python=$1 choice=$2
lock=requirements-cu130.lock
release=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$lock")

fail() { echo "torch: $*" >&2; exit 1; }
install() { "$python" -m pip install --disable-pip-version-check "$@"; }
# Once, and not for minutes: an index that is out of reach is passed over where another place has the build.
from_pytorch() { install --retries 1 --timeout 20 --extra-index-url "https://download.pytorch.org/whl/$choice" "$@" "torch==$release+$choice"; }
here() { test "$(uname -sm)" = "Linux x86_64"; }

if [ "$choice" = auto ]; then
    if ! here; then choice=index
    elif nvidia-smi --list-gpus 2> /dev/null | grep -q GPU; then choice=cu130
    else choice=cpu
    fi
    echo "torch: this machine takes $choice"
fi
# A build of the same release would pass for the one that is asked for.
there=$("$python" -c 'from importlib.metadata import version; print(version("torch"))' 2> /dev/null || true)
case $choice in
    cu130 | index) test "${there:-$release}" = "$release" || "$python" -m pip uninstall --quiet --yes torch ;;
esac
case $choice in
    cpu) from_pytorch --no-deps ;;
    cu126) from_pytorch ;;
    cu130) install --no-deps --require-hashes --requirement "$lock" ;;
    index) install "torch==$release" ;;
    *.whl) test -f "$choice" || fail "got $choice, expected a wheel that is there"; install --no-deps "$choice" ;;
    *) fail "TORCH: got '$choice', expected auto, cpu, cu126, cu130, index or the path of a wheel" ;;
esac || fail "the build of torch $release for TORCH=$choice is not to be had here (pip's lines above say why); give another: make setup TORCH=index for the package index's own, 2.6 GB where that is CUDA's, or TORCH=FILE.whl for a wheel brought by hand"
