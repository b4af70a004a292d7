# perl: text, fork, pipes, signals, sockets, files.
# needs: perl
perl -e 'print join(",", map { $_ * 2 } 1..5), "\n"'
perl -ne 'print if /root/' /etc/passwd; seq 5 | perl -pe 's/(\d)/<$1>/'
perl -e '$| = 1; my $p = fork; if (!$p) { print "child\n"; exit 3 } waitpid $p, 0; print "status ", $? >> 8, "\n"'
perl -e 'open my $f, "-|", "seq", "3" or die; print "line $_" while <$f>; close $f; print "closed $?\n"'
perl -e '$SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 5; print "after\n"'
perl -e 'pipe R, W; if (!fork) { close R; print W "x" x 100000; exit } close W; local $/; my $d = <R>; print length $d, "\n"; wait'
perl -MSocket -e 'socketpair A, B, AF_UNIX, SOCK_STREAM, 0; syswrite A, "hi"; sysread B, $x, 10; print "$x\n"'
perl -e 'opendir D, "/etc"; my @f = sort grep { /^pass/ } readdir D; print "@f\n"; my @s = stat "/etc/passwd"; print $s[7] > 0 ? "size\n" : ""; print -d "/etc" ? "dir\n" : ""'
perl -MData::Dumper -MList::Util=sum -MPOSIX -e '$Data::Dumper::Sortkeys = 1; print Dumper({a => [1, 2], b => sum(1..4)}), floor(3.7), "\n", strftime("%Y", gmtime 0), "\n"'
perl -MFile::Temp -MFile::Copy -MFile::Find -e 'my $d = File::Temp->newdir; copy "/etc/passwd", "$d/p"; my $n = 0; find(sub { $n++ }, "$d"); print "$n\n"'
perl -MTime::HiRes=sleep,time -e 'my $t = time; sleep 0.1; print time - $t >= 0.1 ? "slept\n" : "not\n"'
perl -e 'exec "sh", "-c", "exit 9"'; echo "exec $?"; perl -e 'kill 9, $$'; echo "kill $?"; perl -e 'die "dead\n"' 2>&1; echo "die $?"
