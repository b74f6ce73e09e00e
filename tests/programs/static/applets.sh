# A morning's work with busybox, in an empty folder, with nothing but busybox
# applets on PATH. Everything printed is the same from run to run.
set -u
export LC_ALL=C TZ=UTC

echo "# pipelines and here documents"
seq 1 2000 | grep -v 7 | tail -n 5 | tr '\n' ' '; echo
yes line | head -n 100000 | wc -lc
cat <<END | sort -r | uniq -c
$(printf 'b\na\nb\nc\nb\n')
END
false | true; echo "status $?"
(exit 3); echo "status $?"
set -o pipefail; (exit 4) | cat; echo "pipefail $?"; set +o pipefail

echo "# files"
mkdir -p tree/a/b tree/c; umask 022
for i in $(seq 1 60); do echo "file $i" > "tree/a/f$i"; done
cp -a tree/a tree/d; mv tree/d/f1 tree/c/moved; ln -s ../a/f2 tree/c/link; ln tree/a/f3 tree/c/hard
chmod 640 tree/a/f3; touch -d '2020-02-03 04:05:06' tree/a/f2
stat -c '%n %a %h %s %F' tree/c/hard tree/c/link tree/a; stat -L -c '%n %Y' tree/c/link
readlink tree/c/link; realpath tree/c/link | sed "s|$PWD|HERE|"
find tree -type f -name 'f1*' | sort | tr '\n' ' '; echo
find tree -type f -exec md5sum {} + | sort | md5sum
find tree -newer tree/a/f2 -type d | sort
name=$(mktemp -d ./tmp.XXXXXX); [ -d "$name" ] && echo "mktemp made a folder"; rmdir "$name"
dd if=/dev/zero bs=1k count=64 2>/dev/null | sha256sum
truncate -s 4096 sparse; printf X | dd of=sparse bs=1 seek=2048 conv=notrunc 2>/dev/null; od -An -tx1 sparse | head -n 3
rm -r tree/d; ls -1 tree; ls tree/none; echo "status $?"
cat tree/none 2>&1; echo "status $?"
mkdir tree/a 2>&1; rmdir tree/a 2>&1; cd /proc/none 2>&1; echo still here

echo "# archives"
tar -cf t.tar tree && tar -tf t.tar | sort | wc -l
gzip -9 -c t.tar | gunzip | cmp - t.tar && echo "gzip round trip"
bzip2 -c t.tar | bunzip2 | cmp - t.tar && echo "bzip2 round trip"
mkdir out && tar -xf t.tar -C out && diff -r tree out/tree && echo "tar round trip"
(cd tree && find . | cpio -o -H newc 2>/dev/null) | cpio -it 2>/dev/null | sort | head -n 3

echo "# text"
printf '%s\n' 'one 1' 'two 2' 'three 3' > table
awk '{ s += $2; print NR": "toupper($1) } END { print "sum", s; "echo from awk" | getline x; print x }' table
sed -n -e 's/o/0/gp' -e '$!{h;d}' -e 'G;p' table
sed -i 's/two/2wo/' table && sort -k2nr table | cut -d' ' -f1 | paste - - -
awk 'BEGIN { for (i = 0; i < 3; i++) system("echo child " i); exit 5 }'; echo "status $?"
printf 'a:b:c\n' | xargs -n1 echo got; seq 1 6 | xargs -n2 -P1 echo pair
printf 'x\ny\n' | while read -r v; do echo "read $v"; done
expr 6 \* 7; echo $((1 << 20)); printf '%05d|%x|%s\n' 42 255 end
printf 'y\n' | tee copy | tr y z; cat copy
hexdump -C table | head -n 2; base64 table; sha1sum table

echo "# processes and signals"
sleep 30 & slept=$!; kill $slept; wait $slept; echo "killed: $?"
(trap 'echo got TERM; exit 9' TERM; echo ready > fifo.ready; while :; do sleep 0.05; done) & inner=$!
while [ ! -s fifo.ready ]; do sleep 0.02; done
kill -TERM $inner; wait $inner; echo "trapped: $?"
trap 'echo got USR1' USR1; kill -USR1 $$; trap - USR1
(kill -9 "$(sh -c 'echo $PPID')") 2>/dev/null; echo "kill -9: $?"
timeout 0.2 sleep 30; echo "timeout: $?"
mkfifo pipe; (echo through the fifo > pipe) & cat pipe; wait
for i in 1 2 3 4 5 6 7 8; do (sleep 0.0$i; echo "job $i" >> jobs) & done; wait; sort jobs | tr '\n' ' '; echo
i=0; while [ $i -lt 300 ]; do (exit 0); i=$((i + 1)); done; echo "300 forks"
i=0; while [ $i -lt 100 ]; do true_=$(echo $i); i=$((i + 1)); done; echo "100 substitutions, last $true_"
sh -c 'echo $0 $1' zero one; env -i A=1 sh -c 'echo "$A-${B-unset}"'; exec 7> seven; echo to seven >&7; exec 7>&-; cat seven
(ulimit -n 16; ulimit -n); setsid sh -c 'echo in a session of its own'
sh -c 'sleep 0.3; echo late' & wait $!; echo "status $?"
chroot / "$PATH/busybox" echo rooted; echo "status $?"
usleep 1000; date -u -d @86399 +%T; cal 2 2024 | head -n 3; uname -s; id -u; hostname > /dev/null && echo named
vi --none > /dev/null 2>&1; echo "status $?"; nonesuch 2>&1; echo "status $?"
echo "# done"; exit 17
