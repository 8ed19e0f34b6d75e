package pricefile

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

func parseMoney(text string) (pricing.Money, bool) {
	m := moneyForm.FindStringSubmatch(text)
	if m == nil {
		return pricing.Money{}, false
	}
	d, err := money.ParseDecimal(m[1])
	return pricing.Money{Amount: d, Currency: m[2]}, err == nil
}

// ParseMoney reads "5 USD".
func ParseMoney(text string) (pricing.Money, error) {
	m, ok := parseMoney(text)
	if !ok {
		return pricing.Money{}, fmt.Errorf(`%q is not an amount of money; write "5 USD"`, text)
	}
	return m, nil
}

func (l *loader) money(n *Node) (pricing.Money, bool) {
	if n.Kind == ScalarNode {
		if m, ok := parseMoney(n.Text); ok {
			return m, true
		}
	}
	l.notMoney(n)
	return pricing.Money{}, false
}

func (l *loader) notMoney(n *Node) {
	if n.Kind == ScalarNode {
		if _, err := money.ParseDecimal(n.Text); err == nil {
			l.fail(n, `%s has no currency; write "%s USD"`, n.Text, n.Text)
			return
		}
	}
	l.fail(n, `%s is not an amount of money; write "%s"`, n.what(), moneyHint(n.Text))
}

func moneyHint(s string) string {
	digits := numberPart.FindString(strings.ReplaceAll(s, ",", ""))
	if digits == "" {
		digits = "5"
	}
	upper := strings.ToUpper(s)
	currency := "USD"
	if m := regexp.MustCompile(`[A-Z]{3}`).FindString(upper); m != "" {
		currency = m
	}
	for sign, code := range map[string]string{"€": "EUR", "£": "GBP", "¥": "JPY"} {
		if strings.Contains(s, sign) {
			currency = code
		}
	}
	return digits + " " + currency
}

// percent reads "20%" as 0.2.
func (l *loader) percent(n *Node) (money.Decimal, bool) {
	if n.Kind == ScalarNode {
		if d, ok := parsePercent(n.Text); ok {
			return d, true
		}
	}
	digits := leadingNumber(n.Text)
	if digits == "" {
		digits = "20"
	}
	if strings.HasPrefix(n.Text, "-") {
		l.fail(n, `%s is not a percentage of 0 or more; to take something off, write "discount: %s%%" in a plan`, n.what(), digits)
		return money.Decimal{}, false
	}
	l.fail(n, `%s is not a percentage; write "%s%%"`, n.what(), digits)
	return money.Decimal{}, false
}

func parsePercent(s string) (money.Decimal, bool) {
	digits, ok := strings.CutSuffix(s, "%")
	if !ok || strings.Contains(digits, "_") {
		return money.Decimal{}, false
	}
	d, err := money.ParseDecimal(digits)
	return d.Shift(-2), err == nil
}

func leadingNumber(s string) string {
	if at := numberPart.FindStringIndex(s); at != nil && at[0] == 0 {
		return s[:at[1]]
	}
	return ""
}

// ParseThreshold reads the "below" of an alert: "20%" or an amount.
func ParseThreshold(text string, decimals int) (pricing.Threshold, error) {
	if share, ok := parsePercent(text); ok {
		return pricing.Threshold{Percent: true, Share: share, Text: text}, nil
	}
	a, err := money.ParseAmount(text, decimals)
	return pricing.Threshold{Amount: a, Text: text}, err
}

func (l *loader) duration(n *Node) (calendar.Duration, bool) {
	if n.Kind == ScalarNode && durationForm.MatchString(n.Text) {
		if d, err := calendar.ParseDuration(strings.ReplaceAll(n.Text, "_", "")); err == nil {
			return d, true
		}
	}
	l.fail(n, `%s is not a duration; write "%s"`, n.what(), durationHint(n.Text))
	return calendar.Duration{}, false
}

func durationHint(s string) string {
	m := shortForm.FindStringSubmatch(s)
	if m == nil {
		return "90 days"
	}
	unit := ""
	for _, u := range []struct{ short, long string }{
		{"mo", "month"}, {"min", "minute"}, {"m", "minute"}, {"h", "hour"}, {"d", "day"}, {"w", "week"}, {"y", "year"},
	} {
		if strings.HasPrefix(strings.ToLower(m[2]), u.short) {
			unit = u.long
			break
		}
	}
	if unit == "" {
		return "90 days"
	}
	if m[1] != "1" {
		unit += "s"
	}
	return m[1] + " " + unit
}
