# Programs that look at the system: their facts, not their figures.
# needs: ps top df mount dpkg
dpkg -l | head -5; dpkg -l | wc -l; dpkg -S /bin/bash 2>/dev/null || dpkg -S /usr/bin/bash; dpkg-query -W -f '${Status}\n' bash
ps aux | head -1; ps -o pid=,comm= -p $$ | awk '{print $2}'; ps -ef | awk -v me=$$ '$2 == me {print "found"}'; ps -o stat=,tty= -p $$ | awk '{print substr($1, 1, 1), $2}'
ps -o ppid= -p $BASHPID | grep -q '[0-9]' && echo ppid; sleep 5 & until grep -q sleep /proc/$!/comm; do :; done; ps --ppid $$ -o comm= | sort -u | grep sleep; kill $!
top -b -n1 | awk 'NR == 1 {print $1} /Tasks:/ {print $1} /PID +USER/ {print $1, $2; ok = 1} ok && $1 == '$$' {print "listed"}'
df / | awk 'NR == 1 {print $1, $6} NR == 2 {print $6, ($2 > 0)}'; df -h . >/dev/null; echo "df $?"
mount | grep -c ' / '; mount | grep -q ' /proc type proc' && echo proc; mount | grep -q ' /sys type sysfs' && echo sys; grep -c . /proc/mounts | awk '{print ($1 > 2)}'
id; id -un; stat -c '%n %F %a %u %g' / /etc /etc/passwd /dev/null /tmp /usr/bin/env; stat -f -c %l /; whoami; groups | wc -w | awk '{print ($1 >= 1)}'
uname -s; uname -m; hostname | wc -l; nproc | awk '{print ($1 >= 1)}'; getconf PAGE_SIZE; getconf _NPROCESSORS_ONLN | awk '{print ($1 >= 1)}'; arch; uptime | grep -c load; free | awk '/Mem:/ {print ($2 > 0)}'
cat /proc/self/comm; cat /proc/$$/comm; tr '\0' ' ' </proc/self/cmdline; echo; readlink /proc/self/exe; ls /proc/self/fd | head -3 | wc -l; grep -c processor /proc/cpuinfo | awk '{print ($1 >= 1)}'
pgrep -x nosuchprogram; echo "pgrep $?"; kill -0 $$ && echo alive; kill -l TERM; vmstat 2>/dev/null | head -1 | awk '{print $1}'; w >/dev/null 2>&1; echo "w $?"; test -t 0; echo "tty $?"; tty; true
