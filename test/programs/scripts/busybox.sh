# The static busybox: its shell and applets.
# needs: busybox
busybox sh -c 'echo $((1+2)); for i in a b; do echo $i; done; x=$(busybox seq 3 | busybox wc -l); echo $x; cd /; pwd; trap "echo bye" EXIT; (exit 4); echo $?'
busybox ls / | head -3; echo abc | busybox md5sum; busybox tar -cf - /etc/passwd 2>/dev/null | busybox tar -tf -; busybox find /etc -name passwd -maxdepth 1; busybox sed 's/a/b/' <<<a; busybox awk 'BEGIN{print 1}'; busybox id -u; busybox uname -m; busybox ps | head -1; busybox sleep 0.1; busybox timeout 1 busybox sleep 5; echo "timeout $?"; seq 1000 | busybox gzip | busybox zcat | busybox tail -1; busybox vi --help 2>&1 | head -1 | cut -c1-7
