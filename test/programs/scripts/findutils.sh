# find and xargs.
mkdir -p t/{a,b,c}/{1,2}; for i in t/*/*; do echo "$i" >"$i/f.txt"; touch "$i/g.c"; done; ln -s ../a t/b/link; mkfifo t/fifo
find t | sort | md5sum; find t -name '*.c' | wc -l; find t -type d -empty; find t -type l -printf '%p %l\n'; find t -type p
find t -size -2k -name 'f*' -type f -exec cat {} + | sort; find t -maxdepth 1 -mindepth 1 | sort; find t -newer t/a/1/f.txt -type f | wc -l | sed 's/[0-9]*/n/'
find t -name '*.txt' -print0 | xargs -0 -n 2 echo | wc -l; find t -perm 644 -type f | wc -l; find t -path '*/b/*' -prune -o -type f -print | wc -l
seq 20 | xargs -n 5 echo; seq 5 | xargs -I{} echo item {}; seq 8 | xargs -P 4 -n 1 sh -c 'echo $0' | sort -n | paste -sd,
echo a b | xargs -n1 false; echo "xargs $?"; find t -name '*.c' -delete; find t -type f | wc -l; find -L t -name f.txt | wc -l
find /usr/share -maxdepth 2 2>/dev/null | sort | md5sum; find /etc -maxdepth 1 -type f -name '*.conf' | sort
