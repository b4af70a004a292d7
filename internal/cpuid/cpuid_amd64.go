// Package cpuid asks an x86 processor what it is: its name and the features
// that it has, under the names that Linux gives them in /proc/cpuinfo.
//
// Read asks once for everything; the result never changes. It makes no host
// call. A processor that traps the instruction is not one that we run on.
package cpuid

import (
	"encoding/binary"
	"strings"
)

// Info is what a processor says of itself.
type Info struct {
	Vendor, Model            string
	Family, Number, Stepping uint32
	MaxLeaf                  uint32
	PhysicalBits, LinearBits uint32
	CacheLine                uint32
	Flags                    []string
}

func query(leaf, sub uint32) (a, b, c, d uint32)

const extended = 0x80000000

// Read asks the processor.
func Read() Info {
	var i Info
	maxLeaf, b, c, d := query(0, 0)
	i.MaxLeaf = maxLeaf
	i.Vendor = text(b, d, c)
	maxExtended, _, _, _ := query(extended, 0)
	if maxExtended >= extended+4 {
		for leaf := uint32(extended + 2); leaf <= extended+4; leaf++ {
			i.Model += text(query(leaf, 0))
		}
		i.Model = strings.TrimSpace(strings.Trim(i.Model, "\x00"))
	}
	i.PhysicalBits, i.LinearBits = 36, 48
	if maxExtended >= extended+8 {
		a, _, _, _ := query(extended+8, 0)
		i.PhysicalBits, i.LinearBits = a&0xff, a>>8&0xff
	}
	a, b, _, _ := query(1, 0)
	i.signature(a)
	i.CacheLine = b >> 8 & 0xff * 8
	i.Flags = flags(maxLeaf, maxExtended)
	return i
}

// signature takes family, model and stepping apart.
func (i *Info) signature(a uint32) {
	i.Stepping = a & 0xf
	i.Family = a >> 8 & 0xf
	i.Number = a >> 4 & 0xf
	if i.Family == 0xf {
		i.Family += a >> 20 & 0xff
	}
	if i.Family >= 6 {
		i.Number |= a >> 16 & 0xf << 4
	}
}

func text(words ...uint32) string {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return string(b)
}

func flags(maxLeaf, maxExtended uint32) []string {
	var out []string
	for _, s := range sources {
		if s.leaf < extended && s.leaf > maxLeaf || s.leaf >= extended && s.leaf > maxExtended {
			continue
		}
		a, b, c, d := query(s.leaf, s.sub)
		value := [...]uint32{a, b, c, d}[s.register]
		for bit, name := range strings.Fields(s.names) {
			if name != "-" && value&(1<<bit) != 0 {
				out = append(out, name)
			}
		}
	}
	return out
}

const (
	inA = iota
	inB
	inC
	inD
)

// sources name the bits of each word, the lowest first; "-" is a bit that Linux
// does not show, or that says nothing to a program.
var sources = []struct {
	leaf, sub uint32
	register  int
	names     string
}{
	{1, 0, inD, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe"},
	{extended + 1, 0, inD, "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow"},
	{1, 0, inC, "pni pclmulqdq dtes64 - ds_cpl - - est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor"},
	{extended + 1, 0, inC, "lahf_lm cmp_legacy - extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop - - - fma4 tce"},
	{7, 0, inB, "fsgsbase tsc_adjust - bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl"},
	{0xd, 1, inA, "xsaveopt xsavec xgetbv1 xsaves"},
	{7, 1, inA, "- - - - avx_vnni avx512_bf16"},
	{7, 0, inC, "- avx512vbmi umip pku - waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg - avx512_vpopcntdq - la57 - - - - - rdpid - - cldemote - movdiri movdir64b"},
	{7, 0, inD, "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - - - - - amx_bf16 avx512_fp16 amx_tile amx_int8"},
}
