# tclsh: events, files, child processes.
# needs: tclsh
tclsh <<'T'
puts [expr {6 * 7}]
puts [exec echo from child]
after 50 {set done 1}; vwait done; puts event
set f [open f w]; puts $f "line"; close $f; puts [file size f]
set p [open "|cat" r+]; puts $p hello; flush $p; puts [gets $p]; close $p
if {[catch {exec sh -c "exit 3"} m o]} {puts [lindex [dict get $o -errorcode] 2]}
puts [lsort [glob -directory /etc pass*]]
T
