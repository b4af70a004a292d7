package proc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

const (
	tcpHeader = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
	udpHeader = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"
	ip6Header = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
)

// idleNet is /proc/net of a machine with a loopback interface and no socket.
var idleNet = map[string]string{
	"arp":       "IP address       HW type     Flags       HW address            Mask     Device\n",
	"dev":       devText,
	"dev_mcast": "",
	"fib_trie":  "",
	"if_inet6":  "00000000000000000000000000000001 01 80 10 80       lo\n",
	"igmp":      "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n",
	"igmp6":     "",
	"ipv6_route": "00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 " +
		"00000000 00000001 00000000 80200001       lo\n",
	"netlink":      "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n",
	"netstat":      zeroTable("TcpExt", "SyncookiesSent SyncookiesRecv SyncookiesFailed ListenOverflows ListenDrops TCPTimeouts") + zeroTable("IpExt", "InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InOctets OutOctets"),
	"packet":       "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n",
	"protocols":    "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em\n",
	"psched":       "000003e8 00000040 000f4240 3b9aca00\n",
	"ptype":        "Type Device      Function\n",
	"raw":          tcpHeader + " ref pointer drops\n",
	"raw6":         ip6Header + " ref pointer drops\n",
	"route":        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n",
	"snmp":         snmpText,
	"snmp6":        "",
	"sockstat":     "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
	"sockstat6":    "TCP6: inuse 0\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n",
	"softnet_stat": "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n",
	"tcp":          padded(tcpHeader),
	"tcp6":         ip6Header + "\n",
	"udp":          udpHeader + "\n",
	"udp6":         ip6Header + " ref pointer drops\n",
	"udplite":      udpHeader + "\n",
	"udplite6":     ip6Header + " ref pointer drops\n",
	"unix":         "Num       RefCount Protocol Flags    Type St Inode Path\n",
	"wireless":     "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n",
}

const devText = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
`

var snmpText = "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers " +
	"OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates\n" +
	"Ip: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n" +
	zeroTable("Icmp", "InMsgs InErrors InCsumErrors InDestUnreachs InEchos InEchoReps OutMsgs OutErrors OutDestUnreachs OutEchos OutEchoReps") +
	"Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n" +
	"Tcp: 1 200 120000 -1 0 0 0 0 0 0 0 0 0 0 0\n" +
	zeroTable("Udp", "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors") +
	zeroTable("UdpLite", "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors")

// zeroTable is a table of counters that are all zero: a line of names and one
// of values.
func zeroTable(name, columns string) string {
	n := len(strings.Fields(columns))
	return fmt.Sprintf("%s: %s\n%s:%s\n", name, columns, name, strings.Repeat(" 0", n))
}

// padded fills a line to the width that Linux gives these lines.
func padded(line string) string { return fmt.Sprintf("%-149s\n", line) }

// netFolder is the network namespace of the subject.
func (s *subject) netFolder() pseudo.Entry {
	var entries []pseudo.Entry
	names := make([]string, 0, len(idleNet)+len(s.Net))
	for name := range idleNet {
		names = append(names, name)
	}
	for _, f := range s.Net {
		if _, known := idleNet[f.Name]; !known {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		entries = append(entries, pseudo.File(name, 0o444, pseudo.Text{Show: func(vfs.Context) ([]byte, error) {
			return s.netText(name), nil
		}}))
	}
	return s.folder("net", 0o555, nil, entries...)
}

func (s *subject) netText(name string) []byte {
	at := slices.IndexFunc(s.Net, func(f NetFile) bool { return f.Name == name })
	t := s.task()
	if at >= 0 && t != nil {
		if ns := t.Namespaces().Net; ns != nil {
			return append([]byte(idleNet[name]), s.Net[at].Show(ns)...)
		}
	}
	return []byte(idleNet[name])
}
