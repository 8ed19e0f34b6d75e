package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
)

func (c *cli) webhookCommands() *cobra.Command {
	list_ := command("list", "List where events go", cobra.NoArgs, func(*cobra.Command, []string) error {
		return c.webhooks(http.MethodGet, "/meter/webhooks")
	})
	test := command("test ENDPOINT", "Send a test event to an endpoint", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodPost, "/meter/webhooks/"+url.PathEscape(args[0])+"/test", "", nil, func(w *tabwriter.Writer, v map[string]string) {
			fmt.Fprintf(w, "on its way  %s\tsee: farebox meter webhook deliveries\n", v["event"])
		})
	})
	enable := command("enable ENDPOINT", "Send events again to an endpoint that answered 410", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.webhooks(http.MethodPost, "/meter/webhooks/"+url.PathEscape(args[0])+"/enable")
	})
	redeliver := command("redeliver DELIVERY", "Send a delivery again", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodPost, "/meter/webhooks/deliveries/"+url.PathEscape(args[0])+"/redeliver", "", nil, func(w *tabwriter.Writer, d event.Delivery) {
			fmt.Fprintf(w, "on its way  %s  to %s\n", d.Event, d.Endpoint)
		})
	})
	secret := command("secret", "Make a secret for a webhook; nothing is stored", cobra.NoArgs, func(*cobra.Command, []string) error {
		s := map[string]string{"secret": event.NewSecret()}
		return c.show(s, func(w *tabwriter.Writer) {
			fmt.Fprintf(w, "%s\nPut it into the environment and name it in the Caddyfile: notify webhook <url> {env.METER_WEBHOOK_SECRET}\nTo change it, name the new one first and the old one behind it until the receiver knows the new one.\n", s["secret"])
		})
	})
	return group("webhook", "Where events go, and what became of them", list_, test, c.deliveriesCommand(), redeliver, enable, secret)
}

func (c *cli) webhooks(method, uri string) error {
	return request(c, method, uri, "", nil, func(w *tabwriter.Writer, l api.List[api.EndpointView]) {
		fmt.Fprintln(w, "ENDPOINT\tKIND\tADDRESS\tACCOUNT\tONLY\tSTATE")
		for _, x := range l.Data {
			state := "on"
			if x.Off {
				state = "off: it answered 410"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Kind, orDash(x.Address), orDash(x.Account), orDash(strings.Join(x.Only, " ")), state)
		}
	})
}

func (c *cli) deliveriesCommand() *cobra.Command {
	var state, endpoint string
	var limit int
	cmd := command("deliveries", "List what was sent and what waits, newest first", cobra.NoArgs, func(*cobra.Command, []string) error {
		q := url.Values{"limit": {fmt.Sprint(limit)}}
		for name, v := range map[string]string{"state": state, "endpoint": endpoint} {
			if v != "" {
				q.Set(name, v)
			}
		}
		return request(c, http.MethodGet, "/meter/webhooks/deliveries?"+q.Encode(), "", nil, func(w *tabwriter.Writer, l api.List[event.Delivery]) {
			fmt.Fprintln(w, "CREATED\tTYPE\tACCOUNT\tENDPOINT\tSTATE\tATTEMPTS\tDETAIL\tDELIVERY")
			for _, d := range l.Data {
				detail := d.Error
				if d.State == event.Pending && !d.NextAt.IsZero() && d.Attempts > 0 {
					detail = "next at " + d.NextAt.Format(time.TimeOnly) + "  " + detail
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.CreatedAt.Format("2006-01-02 15:04:05"), d.Type, orDash(d.Account), d.Endpoint, d.State, d.Attempts, detail, d.ID)
			}
		})
	})
	cmd.Flags().StringVar(&state, "state", "", "pending, delivered or failed")
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "only to this one")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many")
	return cmd
}

func (c *cli) operatorCommands() *cobra.Command {
	var name, scope string
	create := command("create", "Create an operator's key for the console and its API; it is shown once", cobra.NoArgs, func(*cobra.Command, []string) error {
		return request(c, http.MethodPost, "/meter/operator-keys", "", map[string]string{"name": name, "scope": scope}, func(w *tabwriter.Writer, k api.NewKeyView) {
			fmt.Fprintf(w, "%s      shown once – store it now\nmay %s; sign in with it at the console, or send it as Authorization: Bearer\n", k.Secret, strings.Join(k.Scopes, ", "))
		})
	})
	create.Flags().StringVar(&name, "name", "", "whose or what it is for")
	create.Flags().StringVar(&scope, "scope", directory.ScopeRead, "read, grant (moves credits) or admin (changes everything)")
	list_ := command("list", "List operators' keys", cobra.NoArgs, func(*cobra.Command, []string) error {
		return request(c, http.MethodGet, "/meter/operator-keys", "", nil, func(w *tabwriter.Writer, l api.List[directory.Key]) {
			fmt.Fprintln(w, "ID\tKEY\tNAME\tMAY\tCREATED\tREVOKED")
			for _, k := range l.Data {
				revoked := ""
				if !k.RevokedAt.IsZero() {
					revoked = k.RevokedAt.Format(time.DateOnly)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Hint, orDash(k.Name), strings.Join(k.Scopes, " "), k.CreatedAt.Format(time.DateOnly), orDash(revoked))
			}
		})
	})
	revoke := command("revoke KEY", "Revoke an operator's key by its id (op_…), and its sessions, at once", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodDelete, "/meter/operator-keys/"+url.PathEscape(args[0]), "", nil, func(w *tabwriter.Writer, k directory.Key) { fmt.Fprintf(w, "revoked  %s  %s\n", k.ID, k.Hint) })
	})
	return group("operator", "Keys for the operator console and its API", create, list_, revoke)
}

func (c *cli) portalCommand() *cobra.Command {
	var in api.PortalSession
	var role string
	cmd := command("portal ACCOUNT", "Make a link that opens an account's portal once, within 5 minutes", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		in.Account, in.Role = args[0], directory.Role(role)
		return request(c, http.MethodPost, "/meter/portal-sessions", "", in, func(w *tabwriter.Writer, l api.PortalLink) {
			fmt.Fprintf(w, "%s\nopens once, until %s\n", l.URL, l.ExpiresAt.Local().Format(time.TimeOnly))
		})
	})
	f := cmd.Flags()
	f.StringVar(&in.Member, "member", "", "as this member")
	f.StringVar(&role, "role", "", "admin, member or viewer (default: the member's, or admin)")
	f.StringVar(&in.Portal, "at", "", "where the portal is, such as https://app.example.com/_meter")
	f.StringVar(&in.ReturnURL, "return-url", "", "where its way back leads")
	return cmd
}
