#!/bin/sh
# Patches a file as a step of an image build, and sees that the bytes are the
# ones that were agreed on: the same input, rules and version of procsys-patch
# give the same file on any machine.
#
#   patch.sh INPUT OUTPUT              prints the digest, to be written down
#   patch.sh INPUT OUTPUT SHA256       fails, and writes nothing, if it is another
#   patch.sh INPUT OUTPUT SHA256 OPTIONS…
#                                      options of procsys-patch; SHA256 may be ''
#
# Example:
#   patch.sh runc runc-gvisor '' --profile gvisor
#   patch.sh runc runc-gvisor 3f0c… --profile gvisor
#
# PROCSYS_PATCH names the tool where it is not in PATH.
# Exit codes: 0 written, 1 another digest, 2 error.
set -eu

if [ $# -lt 2 ]; then
    sed -n '/^#   patch.sh/,/^# Exit/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
input=$1
output=$2
expected=${3-}
if [ $# -gt 3 ]; then shift 3; else shift $#; fi
tool=${PROCSYS_PATCH-procsys-patch}

# Beside the output, so that it is put in place at once or not at all.
work=$(mktemp -d "$(dirname "$output")/.patch.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM

"$tool" "$input" -o "$work/file" "$@" || exit 2
found=$("$tool" verify "$work/file" --original "$input") || {
    echo "$found" >&2
    exit 2
}
digest=$(sha256sum "$work/file")
digest=${digest%% *}
if [ -n "$expected" ] && [ "$digest" != "$expected" ]; then
    echo "patch.sh: $output: expected sha256 $expected, got $digest" >&2
    exit 1
fi
mv "$work/file" "$output"
echo "sha256 $digest  $output"
