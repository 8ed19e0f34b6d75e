package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/spf13/cobra"
)

func (c *cli) memberCommands() *cobra.Command {
	list := command("list ACCOUNT", "List the members of an account", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodGet, accountURI(args[0], "members"), "", nil, func(w *tabwriter.Writer, l api.List[directory.Member]) {
			fmt.Fprintln(w, "MEMBER\tROLE\tNAME\tEMAIL\tCAPS\tSINCE")
			for _, m := range l.Data {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Role, orDash(m.Name), orDash(m.Email), orDash(capsText(m.Caps)), m.CreatedAt.Format(time.DateOnly))
			}
		})
	})
	role := command("set-role ACCOUNT MEMBER ROLE", "Make a member admin, member or viewer", cobra.ExactArgs(3), func(_ *cobra.Command, args []string) error {
		r := directory.Role(args[2])
		return c.changeMember(args[0], args[1], directory.MemberChange{Role: &r})
	})
	limit := command("cap ACCOUNT MEMBER [AMOUNT/PERIOD …]", "Limit what a member spends, such as 50/month; without limits: none of its own", cobra.MinimumNArgs(2), func(_ *cobra.Command, args []string) error {
		caps, err := parseCaps(args[2:])
		if err != nil {
			return err
		}
		return c.changeMember(args[0], args[1], directory.MemberChange{Caps: &caps})
	})
	atOnce := c.maxConcurrentCommand("ACCOUNT MEMBER", func(_ *cobra.Command, args []string, most int) error {
		return c.changeMember(args[0], args[1], directory.MemberChange{MaxConcurrent: &most})
	})
	remove := command("remove ACCOUNT MEMBER", "Remove a member and revoke its keys, at once", cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
		return c.memberDone("removed", http.MethodDelete, accountURI(args[0], "members", args[1]), nil)
	})
	erase := command("erase ACCOUNT MEMBER", "Remove a member, and erase its name, mail address and sessions, for good", cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
		return c.memberDone("erased", http.MethodPost, accountURI(args[0], "members", args[1])+"/erase", nil)
	})
	return group("member", "Add, list and remove members of an account, change roles, caps and limits", c.addMemberCommand(), list, role, limit, atOnce, remove, erase)
}

func (c *cli) addMemberCommand() *cobra.Command {
	var in struct {
		ID      string                `json:"id"`
		Name    string                `json:"name,omitempty"`
		Email   string                `json:"email,omitempty"`
		Role    string                `json:"role"`
		SeesAll bool                  `json:"sees_all,omitempty"`
		Caps    []directory.MemberCap `json:"caps,omitempty"`

		MaxConcurrent int `json:"max_concurrent,omitempty"`
	}
	var caps []string
	cmd := command("add ACCOUNT MEMBER", "Add a member to an account", cobra.ExactArgs(2), func(_ *cobra.Command, args []string) (err error) {
		if in.Caps, err = parseCaps(caps); err != nil {
			return err
		}
		in.ID = args[1]
		return c.memberDone("added", http.MethodPost, accountURI(args[0], "members"), in)
	})
	f := cmd.Flags()
	f.StringVar(&in.Name, "name", "", "name for people")
	f.StringVar(&in.Email, "email", "", "e-mail address")
	f.StringVar(&in.Role, "role", string(directory.RoleMember), "admin, member or viewer")
	f.BoolVar(&in.SeesAll, "sees-all", false, "may see what the other members use")
	maxConcurrentFlag(cmd, &in.MaxConcurrent)
	f.StringSliceVar(&caps, "cap", nil, "most that it may spend, such as 50/month")
	return cmd
}

// changeMember changes a member that is there: a mistyped name must not make one.
func (c *cli) changeMember(account, member string, in directory.MemberChange) error {
	uri := accountURI(account, "members", member)
	if _, err := c.ask(http.MethodGet, uri, "", nil, nil); err != nil {
		return err
	}
	return c.memberDone("changed", http.MethodPut, uri, in)
}

func (c *cli) memberDone(done, method, uri string, in any) error {
	return request(c, method, uri, "", in, func(w *tabwriter.Writer, m directory.Member) {
		fmt.Fprintf(w, "%s  %s\t%s of %s\tcaps %s\tat once %s\n", done, m.ID, m.Role, m.Account, orDash(capsText(m.Caps)), orNone(m.MaxConcurrent))
	})
}

// parseCaps reads "50/month".
func parseCaps(texts []string) ([]directory.MemberCap, error) {
	caps := []directory.MemberCap{}
	for _, text := range texts {
		amount, every, ok := strings.Cut(text, "/")
		if !ok {
			return nil, &exit{exitInvalid, errors.New("the cap " + text + ": write an amount and a period, such as 50/month")}
		}
		caps = append(caps, directory.MemberCap{Amount: amount, Every: every})
	}
	return caps, nil
}

func capsText(caps []directory.MemberCap) string {
	var texts []string
	for _, c := range caps {
		texts = append(texts, c.Amount+"/"+c.Every)
	}
	return strings.Join(texts, " ")
}
