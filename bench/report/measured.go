package report

// Measured is the result of a scenario.
type Measured struct {
	Scenario string               `json:"scenario"`
	About    string               `json:"about"`
	Rounds   int                  `json:"rounds"`
	Quick    bool                 `json:"quick"`
	Figures  map[string]Metrics   `json:"figures"` // by subject; medians
	Ratios   map[string]float64   `json:"ratios"`  // "figure/reference", medians of the rounds
	Targets  map[string]string    `json:"targets,omitempty"`
	Rows     []Row                // of the report
	All      map[string][]Metrics // by subject and round
}

// Row is a line of the report: a figure of the server, one of a reference, and
// the target.
type Row struct {
	Metric      string
	Label       string
	Against     string // subject
	Ref         string // its figure; the same name when empty
	First, Then Bound
}

// Sum makes medians of the rounds, and ratios to the references. A ratio is
// the median of each round's, not the ratio of medians: within a round the
// machine was in one mood.
func (m *Measured) Sum() {
	m.Figures, m.Ratios, m.Targets = map[string]Metrics{}, map[string]float64{}, map[string]string{}
	for name, rounds := range m.All {
		m.Figures[name] = medians(rounds)
	}
	for _, r := range m.Rows {
		if ratio, ok := m.ratio(r); ok && r.Against != "" {
			m.Ratios[r.Metric+"/"+r.Against] = ratio
		}
		if verdict := m.verdict(r); verdict != "" { // at most one row of a figure has targets
			m.Targets[r.Metric] = verdict
		}
	}
}

func (r Row) refMetric() string {
	if r.Ref != "" {
		return r.Ref
	}
	return r.Metric
}

func (m *Measured) ratio(r Row) (float64, bool) {
	var v []float64
	ours, theirs := m.All["service"], m.All[r.Against]
	for i := range min(len(ours), len(theirs)) {
		if ref := theirs[i][r.refMetric()]; ref > 0 {
			v = append(v, ours[i][r.Metric]/ref)
		}
	}
	return median(v), len(v) > 0
}

// verdict says which of the row's targets are met.
func (m *Measured) verdict(r Row) string {
	got, ok := m.Figures["service"][r.Metric]
	if !ok || r.First.none() && r.Then.none() {
		return ""
	}
	ref := m.Figures[r.Against][r.refMetric()]
	switch ratio, has := m.ratio(r); {
	case !has && (r.First.factor > 0 || r.Then.factor > 0):
		return "" // nothing to compare with
	case has && r.First.add == 0 && r.Then.add == 0:
		got, ref = ratio, 1
	}
	switch {
	case !r.Then.none() && r.Then.met(got, ref):
		return "then"
	case !r.First.none() && r.First.met(got, ref):
		return "first"
	case r.First.none():
		return "not yet"
	}
	return "missed"
}
