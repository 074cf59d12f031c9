package speechtext

// choose picks a border by the rules for the first chunk or a later one.
func (s *Splitter) choose(borders []border, length int, final bool) int {
	if len(borders) == 0 {
		return 0
	}
	end := borders[len(borders)-1]
	least, most := s.opt.Min, s.opt.Max
	hard := most
	if s.last == 0 {
		least, hard = s.opt.FirstMin, s.opt.FirstMax
	} else {
		most = min(max(int(growth*float64(s.last)), leastNext), most)
		hard = min(int(stretch*float64(most)), hard)
	}
	for _, b := range borders {
		switch {
		case b.length > hard:
		case b.rank == forced && (b.length > 0 || b.pos == end.pos):
			return b.pos
		case b.rank == sentence && (b.length >= least || s.last == 0 && b.length > 0):
			return b.pos
		case b.rank == clause && s.last == 0 && b.length >= least:
			return b.pos
		}
	}
	if final && end.rank == forced && end.length <= hard {
		return end.pos
	}
	if length <= hard {
		return 0
	}
	return overlong(borders, least, hard)
}

// overlong picks where to cut text that has grown past hard: a sentence's end, else the last clause
// border, else the best place between two words.
func overlong(borders []border, least, hard int) int {
	var found [forced + 1]int
	for _, b := range borders {
		if b.length > hard || b.pos == 0 || b.length == 0 {
			continue
		}
		if b.rank == clause && b.length < least || b.rank <= phrase && b.length < hard/2 {
			continue
		}
		found[b.rank] = b.pos
	}
	for _, r := range [...]rank{clause, sentence, forced, phrase, word} {
		if found[r] > 0 {
			return found[r]
		}
	}
	for _, b := range borders { // nothing good before: the next that is not bad
		if b.length > hard && b.rank > glue {
			return b.pos
		}
	}
	if last := borders[len(borders)-1]; last.length > 3*hard {
		return last.pos
	}
	return 0
}
