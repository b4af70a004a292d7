# strace runs a program, follows its children and tells its calls.
# needs: strace
strace -o log -f sh -c 'echo traced; /bin/true' && grep -c '^[0-9]* *write(1, "traced' log; grep -c 'exited with 0' log | awk '{print ($1 >= 2)}'
strace -c -o sum true && grep -c execve sum; strace -e trace=openat -o o cat /etc/hostname >/dev/null; grep -c '"/etc/hostname"' o
