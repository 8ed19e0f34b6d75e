package api

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// TrailView is how the balance came here, and where it goes at the present rate.
type TrailView struct {
	Timezone string      `json:"timezone"`
	Past     []PointView `json:"past"`   // of the last 14 days and now, every six hours
	Coming   []PointView `json:"coming"` // at the start of each day to come; empty: no rate is known yet
}

// PointView is what is available at a time, in credits.
type PointView struct {
	At        time.Time `json:"at"`
	Available string    `json:"available"`
}

func (c *call) trail() (TrailView, error) {
	q := c.URL.Query()
	zone, err := c.zone(q)
	if err != nil {
		return TrailView{}, err
	}
	const days, step = 14, 6 * time.Hour
	now := c.m.Now()
	today := calendar.At(now, calendar.Day, now, zone).Start
	var times []time.Time
	for t := today.AddDate(0, 0, -days); t.Before(now); t = t.Add(step) {
		times = append(times, t)
	}
	past, err := c.m.Reports.Trail(c.Context(), c.who.account, append(times, now))
	if err != nil {
		return TrailView{}, err
	}
	v := TrailView{Timezone: zone.String(), Past: []PointView{}, Coming: []PointView{}}
	for _, p := range past {
		v.Past = append(v.Past, PointView{p.At.UTC(), c.text(p.Available)})
	}
	b, _, err := c.m.Reports.Burn(c.Context(), c.who.account)
	for _, p := range b.Coming {
		v.Coming = append(v.Coming, PointView{p.At.UTC(), c.text(p.Available)})
	}
	return v, err
}
