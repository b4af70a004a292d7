# What coreutils does with files and text.
seq 10 >n; wc n; head -3 n; tail -2 n; tac n | head -1; nl n | tail -1
sort -rn n | uniq | paste -sd, ; shuf -i 1-100 -n 5 | wc -l
cut -d: -f1 /etc/passwd | head -2; tr a-z A-Z <n | md5sum; sha256sum n; cksum n; base64 n | head -1
comm -12 <(seq 1 5) <(seq 3 8); join <(printf 'a 1\nb 2\n') <(printf 'a x\nb y\n')
cp n m; cmp n m && echo same; mv m k; ln k hard; ln -s k soft; readlink soft; stat -c '%h %s %a %F' k soft
mkdir -p a/b/c; touch a/b/c/f; cp -r a d; rm -r a; find d -type f; rmdir d 2>&1 | sed 's/.*: //'
install -m 750 n inst; stat -c %a inst; chmod u+s,o-r inst; stat -c %A inst
dd if=/dev/zero of=z bs=1k count=64 2>/dev/null; stat -c %s z; truncate -s 100 z; stat -c %s z; od -An -tx1 z | head -1
split -l 3 n part.; ls part.*; cat part.* | cmp - n && echo joined
touch -d '2020-01-02 03:04:05' t; stat -c %y t; date -u -d @86400 +%F; date -r t +%Y
expr 6 \* 7; test -f n && echo file; [ -d d ] && echo dir; basename /a/b.c .c; dirname /a/b
printf '%5.2f|%-5s|%x\n' 3.14159 ab 255; echo -e 'a\tb' | expand | od -c | head -1; fold -w 3 <<<abcdefg
env -i A=1 env; nice -n 5 nice; nproc >/dev/null && echo nproc; whoami; id -u; groups >/dev/null && echo groups
ls -la n | cut -c1-10; ls -1 | head -3; du -b n | cut -f1; realpath --relative-to=/ /usr/bin; pathchk n && echo ok
mktemp -d ./tmp.XXXX | sed 's/....$//'; tee x y <n | wc -l; cmp x y && echo tee; factor 1001; seq -s ' ' 3
sleep 0.01; timeout 5 true; echo $?; stdbuf -o0 echo unbuffered; csplit -s n 5; ls xx*; sync; tsort <<<'a b b c' | paste -sd' '
rm -rf ./*; ls | wc -l
