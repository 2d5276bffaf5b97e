package fleettrace

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"
)

// WriteConnLog writes the flows as Zeek's conn.log, in the order in which the
// connections ended.
func (t *Trace) WriteConnLog(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"+
		"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\n"+
		"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\n")
	flows := slices.Clone(t.Flows)
	slices.SortStableFunc(flows, func(a, b Flow) int { return a.End.Compare(b.End) })
	for i, f := range flows {
		lasted, received, state := fmt.Sprintf("%.6f", f.End.Sub(f.Start).Seconds()), fmt.Sprint(f.Received), "SF"
		if f.Failed {
			lasted, received, state = "-", "-", "S0"
		}
		fmt.Fprintf(out, "%d.%06d\tC%d\t%v\t%d\t%v\t%d\ttcp\t-\t%s\t%d\t%s\t%s\n", f.Start.Unix(), f.Start.Nanosecond()/1000, i,
			f.From, 40000+i%20000, f.To.Addr(), f.To.Port(), lasted, f.Sent, received, state)
	}
	return out.Flush()
}

// WriteDevices writes the table that tocsin controllers rank reads.
func (t *Trace) WriteDevices(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "device,address,model,firmware,compromised,first_attack_act")
	for i, d := range t.Devices {
		label, at := 0, ""
		if d.Compromised {
			label, at = 1, d.FirstAttack.Format(time.RFC3339)
		}
		fmt.Fprintf(out, "%s,%v,%s,%s,%d,%s\n", d.ID, Address(i), d.Model, d.Firmware, label, at)
	}
	return out.Flush()
}
