package reconcile

import "sort"

// group is all that the parties say of one payment.
type group struct {
	main  [parties]*Line
	extra [parties][]*Line
}

// Ties say by which fields the lines of a party are tied to the journal's.
type Ties [pairs]Fields

// join gathers lines into payments. The order of the lines plays no part: of
// several lines of one key the one that agrees best with the journal is the
// payment's, and the others are its repetitions.
func join(lines *[parties][]Line, on Ties) []*group {
	j := joiner{by: map[string]*group{}}
	for _, f := range on {
		j.use |= f
	}
	for _, l := range ordered(lines[Journal]) {
		j.journal(l)
	}
	for p := MIS; p < parties; p++ {
		for _, l := range ordered(lines[p]) {
			j.other(p, l, on[p.pair()])
		}
	}
	for _, g := range j.all {
		g.choose()
	}
	return j.tie()
}

func ordered(lines []Line) []*Line {
	out := make([]*Line, 0, len(lines))
	for i := range lines {
		if lines[i].Effect != Absent {
			out = append(out, &lines[i])
		}
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].less(out[b]) })
	return out
}

type joiner struct {
	use Fields // by which some party is tied
	all []*group
	by  map[string]*group
}

func serialName(s string) string { return "s" + s }
func keyName(s string) string    { return "k" + s }

func (j *joiner) journal(l *Line) {
	var g *group
	if l.Key != "" && j.use&HasKey != 0 {
		g = j.by[keyName(l.Key)]
	}
	if g == nil && l.Serial != "" && j.use&HasSerial != 0 {
		g = j.by[serialName(l.Serial)]
	}
	if g == nil {
		g = &group{}
		j.all = append(j.all, g)
	}
	if g.main[Journal] == nil {
		g.main[Journal] = l
	} else {
		g.extra[Journal] = append(g.extra[Journal], l)
	}
	j.names(g, l)
}

// names makes the group known by the line's keys, unless another is.
func (j *joiner) names(g *group, l *Line) {
	if l.Key != "" && j.by[keyName(l.Key)] == nil {
		j.by[keyName(l.Key)] = g
	}
	if l.Serial != "" && j.by[serialName(l.Serial)] == nil {
		j.by[serialName(l.Serial)] = g
	}
}

// other ties a line to the journal's payment, or to the same party's lines of
// the same key when the journal has none.
func (j *joiner) other(p Party, l *Line, on Fields) {
	name := ""
	switch {
	case on == HasKey && l.Key != "":
		name = keyName(l.Key)
	case on == HasSerial && l.Serial != "":
		name = serialName(l.Serial)
	}
	g := j.by[name]
	if name == "" || g == nil || g.main[Journal] == nil {
		own := string('0'+rune(p)) + name
		if g = j.by[own]; name == "" || g == nil {
			g = &group{}
			j.all = append(j.all, g)
			if name != "" {
				j.by[own] = g
			}
		}
	}
	g.extra[p] = append(g.extra[p], l)
}

// choose makes one line of each party the payment's. What counts comes before
// what is undone, the journal's amount and customer before others; the rest is
// settled by the lines' contents.
func (g *group) choose() {
	own := g.main[Journal]
	for p := MIS; p < parties; p++ {
		all := g.extra[p]
		if len(all) == 0 {
			continue
		}
		sort.SliceStable(all, func(a, b int) bool { return rank(own, all[a], p) > rank(own, all[b], p) })
		g.main[p], g.extra[p] = all[0], all[1:]
	}
}

func rank(own, l *Line, p Party) int {
	n := 0
	if l.counts(p) {
		n += 4
	}
	if own != nil && l.Amount == own.Amount {
		n += 2
	}
	if own != nil && l.Account == own.Account {
		n++
	}
	return n
}

// tie joins payments of which the journal knows nothing: the MIS's line and
// the bank's are tied by a serial or key that both carry, or, where neither is
// carried, by customer and amount that stand once on each side.
func (j *joiner) tie() []*group {
	type pool map[string][]*group
	serial, key, loose := pool{}, pool{}, pool{}
	for _, g := range j.all {
		if m := g.main[MIS]; m != nil && g.main[Journal] == nil {
			if m.Serial != "" {
				serial[m.Serial] = append(serial[m.Serial], g)
			}
			if m.Key != "" {
				key[m.Key] = append(key[m.Key], g)
			}
			loose[looseName(m)] = append(loose[looseName(m)], g)
		}
	}
	banks := map[string]int{}
	for _, g := range j.all {
		if b := g.main[Bank]; b != nil && g.main[Journal] == nil {
			banks[looseName(b)]++
		}
	}
	gone := map[*group]bool{}
	for _, by := range []int{0, 1, 2} {
		for _, g := range j.all {
			b := g.main[Bank]
			if b == nil || g.main[Journal] != nil || g.main[MIS] != nil {
				continue
			}
			found := [][]*group{serial[b.Serial], key[b.Key], loose[looseName(b)]}[by]
			if len(found) != 1 || gone[found[0]] || by == 2 && (banks[looseName(b)] != 1 || !near(found[0].main[MIS], b)) {
				continue
			}
			g.main[MIS], g.extra[MIS] = found[0].main[MIS], found[0].extra[MIS]
			gone[found[0]] = true
		}
	}
	kept := make([]*group, 0, len(j.all))
	for _, g := range j.all {
		if !gone[g] {
			kept = append(kept, g)
		}
	}
	return kept
}

func looseName(l *Line) string { return l.Account + "\x00" + l.Amount.Yuan() }

// near allows ten minutes between two lines that both tell their time; lines
// that are tied name their customer, and must not carry serials that contradict
// each other.
func near(m, b *Line) bool {
	if m.Account == "" || m.Serial != "" && b.Serial != "" || m.Key != "" && b.Key != "" {
		return false
	}
	x, okX := minutes(m.Time)
	y, okY := minutes(b.Time)
	return !okX || !okY || x-y <= 10 && y-x <= 10
}

// minutes reads HH:MM:SS as minutes of the day.
func minutes(s string) (int, bool) {
	if len(s) < 5 || s[2] != ':' {
		return 0, false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	return (int(s[0]-'0')*10+int(s[1]-'0'))*60 + int(s[3]-'0')*10 + int(s[4]-'0'), true
}
