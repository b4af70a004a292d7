# tar with each compressor; attributes survive.
# needs: tar gzip xz zstd
mkdir -p d/sub; seq 10000 >d/n; echo x >d/sub/x; ln -s n d/link; ln d/n d/hard; chmod 751 d/sub; touch -d @1000000000 d/sub/x d/n; mkfifo d/fifo
for z in gzip xz zstd; do
	tar --sort=name --mtime=@1000000000 --owner=0 --group=0 --$z -cf a.tar.$z d && tar -tf a.tar.$z | md5sum
	mkdir out.$z; tar -xf a.tar.$z -C out.$z; (cd out.$z; find . -printf '%p %y %m %l\n' | sort | md5sum; md5sum d/n; stat -c '%h %Y' d/n)
done
tar -cf - d | tar -tvf - | wc -l; tar -C d -cf s.tar .; tar -xf s.tar ./sub/x -O; tar -df s.tar -C d; echo "compare $?"
gzip -k d/n; gunzip -c d/n.gz | md5sum; xz -T1 -k d/n; xz -dc d/n.xz | md5sum; zstd -q d/n -o d/n.zst; zstd -dcq d/n.zst | md5sum; zcat d/n.gz | tail -1
head -c 2000000 /dev/zero | tr '\0' z | gzip | gzip -d | md5sum; xz -l d/n.xz >/dev/null && echo listed
echo broken >bad.gz; gzip -t bad.gz 2>/dev/null; echo "bad $?"
