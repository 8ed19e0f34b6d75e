package integration

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// object is a YAML document; at reads what is in it.
type object map[string]any

// at is the value at a path such as spec.template.spec; nil if there is none.
func (o object) at(path string) any {
	var v any = map[string]any(o)
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (o object) text(path string) string {
	s, _ := o.at(path).(string)
	return s
}

// list are the objects of a list.
func (o object) list(path string) (all []object) {
	l, _ := o.at(path).([]any)
	for _, v := range l {
		if m, ok := v.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func (o object) words(path string) (all []string) {
	l, _ := o.at(path).([]any)
	for _, v := range l {
		s, _ := v.(string)
		all = append(all, s)
	}
	return all
}

// documents are the objects of the YAML files of a directory.
func documents(t testing.TB, dir string) (all []object) {
	t.Helper()
	for _, file := range files(t, dir) {
		if filepath.Ext(file) != ".yaml" {
			continue
		}
		for d := yaml.NewDecoder(strings.NewReader(read(t, file)), yaml.Strict()); ; {
			var o map[string]any
			err := d.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all = append(all, o)
		}
	}
	return all
}

// manifests are the objects of one way to run in Kubernetes, by kind and name.
type manifests map[string]object

func (m manifests) need(t testing.TB, by, kind, name string) object {
	t.Helper()
	o := m[kind+"/"+name]
	if o == nil {
		t.Errorf("%s refers to the %s %q, which does not exist", by, kind, name)
	}
	return o
}

func TestDeployKubernetes(t *testing.T) {
	t.Parallel()
	g, health := shippedGateway(t)
	for _, way := range []string{"standalone", "sidecar"} {
		m := manifests{}
		for _, o := range documents(t, "kubernetes/"+way) {
			if o.text("apiVersion") == "" || o.text("kind") == "" {
				t.Errorf("%s: %v has no apiVersion or kind", way, o)
			}
			m[o.text("kind")+"/"+o.text("metadata.name")] = o
		}
		deployments, jobs := 0, 0
		for name, o := range m {
			switch o.text("kind") {
			case "Deployment":
				deployments++
				if o.at("spec.replicas") != uint64(1) || o.text("spec.strategy.type") != "Recreate" {
					t.Errorf("%s %s: replicas %v, strategy %v", way, name, o.at("spec.replicas"), o.at("spec.strategy"))
				}
				m.pod(t, way+" "+name, object(o).at("spec.template.spec"))
				m.selected(t, o)
				g.probed(way, o, health)
			case "Job":
				jobs++
				m.pod(t, way+" "+name, o.at("spec.template.spec"))
			case "CronJob":
				m.pod(t, way+" "+name, o.at("spec.jobTemplate.spec.template.spec"))
			case "ConfigMap":
				g.servesPrices(way+" "+name, o.text("data.pricing.yaml"), o)
			case "Kustomization":
				for _, file := range o.words("resources") {
					if _, err := os.Stat(deploy + "kubernetes/" + way + "/" + file); err != nil {
						t.Error(err)
					}
				}
			}
		}
		if deployments != 1 || jobs != 1 {
			t.Errorf("%s has %d deployments and %d jobs", way, deployments, jobs)
		}
	}
}

// pod checks that what it mounts exists, that its containers have few rights, and
// that those of the gateway run commands that exist.
func (m manifests) pod(t testing.TB, where string, spec any) {
	t.Helper()
	s, _ := spec.(map[string]any)
	pod := object(s)
	if pod.at("securityContext.runAsNonRoot") != true || pod.text("securityContext.seccompProfile.type") != "RuntimeDefault" {
		t.Errorf("%s may run as root or make any system call", where)
	}
	volumes := []string{}
	for _, v := range pod.list("volumes") {
		volumes = append(volumes, v.text("name"))
		if claim := v.text("persistentVolumeClaim.claimName"); claim != "" {
			m.need(t, where, "PersistentVolumeClaim", claim)
		}
		if name := v.text("configMap.name"); name != "" {
			m.need(t, where, "ConfigMap", name)
		}
	}
	for _, c := range pod.list("containers") {
		if c.at("securityContext.allowPrivilegeEscalation") != false || !slices.Equal(c.words("securityContext.capabilities.drop"), []string{"ALL"}) {
			t.Errorf("%s: container %s has rights", where, c.text("name"))
		}
		if image := c.text("image"); !strings.Contains(filepath.Base(image), ":") {
			t.Errorf("%s: image %s has no version", where, image)
		}
		for _, v := range c.list("volumeMounts") {
			if !slices.Contains(volumes, v.text("name")) {
				t.Errorf("%s: container %s mounts %q, which is no volume", where, c.text("name"), v.text("name"))
			}
		}
		for _, e := range c.list("env") {
			if key := e.text("valueFrom.secretKeyRef.key"); key != "" && m.need(t, where, "Secret", e.text("valueFrom.secretKeyRef.name")).text("stringData."+key) == "" {
				t.Errorf("%s: the secret has no %s", where, key)
			}
		}
		args := c.words("args")
		if at := slices.Index(args, "--") + 1; at > 0 && args[at] == "farebox" && c.text("name") == "kubectl" {
			realCommand(t, where, args[at+1:])
		}
		if !strings.Contains(c.text("image"), "/farebox:") {
			continue
		}
		if c.at("securityContext.readOnlyRootFilesystem") != true {
			t.Errorf("%s: the root of %s can be written", where, c.text("name"))
		}
		if len(args) > 0 {
			realCommand(t, where, args)
		}
	}
}

// selected checks that services select the pods of a deployment, and their ports.
func (m manifests) selected(t testing.TB, deployment object) {
	t.Helper()
	ports := []string{}
	for _, c := range deployment.list("spec.template.spec.containers") {
		for _, p := range c.list("ports") {
			ports = append(ports, p.text("name"))
		}
	}
	labels, _ := deployment.at("spec.template.metadata.labels").(map[string]any)
	services := 0
	for name, o := range m {
		if o.text("kind") != "Service" {
			continue
		}
		services++
		selector, _ := o.at("spec.selector").(map[string]any)
		for k, v := range selector {
			if labels[k] != v {
				t.Errorf("%s selects %s=%v, which the pods do not have", name, k, v)
			}
		}
		for _, p := range o.list("spec.ports") {
			if !slices.Contains(ports, p.text("targetPort")) {
				t.Errorf("%s leads to the port %q, which no container has", name, p.text("targetPort"))
			}
		}
	}
	if services != 2 {
		t.Errorf("there are %d services", services)
	}
}

// probed asks a running gateway what the probes of a deployment ask.
func (g *gateway) probed(way string, deployment object, health string) {
	g.t.Helper()
	for _, c := range deployment.list("spec.template.spec.containers") {
		for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
			path := c.text(probe + ".httpGet.path")
			switch {
			case path != "":
				if status, body := get(g.t, "http://"+health+path); status != http.StatusOK {
					g.t.Errorf("%s: %s %s: %d %s", way, probe, path, status, body)
				}
			case c.text("name") == "farebox":
				g.t.Errorf("%s: the gateway has no %s", way, probe)
			}
		}
	}
}

// servesPrices checks a price file as the gateway would use it, with the shipped Caddyfile.
func (g *gateway) servesPrices(where, prices string, o object) {
	g.t.Helper()
	if data, ok := o.at("data").(map[string]any); ok { // a key with a dot
		prices, _ = data["pricing.yaml"].(string)
	}
	g.validates(where, prices, read(g.t, deploy+"Caddyfile"))
}

// validates runs farebox validate on a Caddyfile with a price file.
func (g *gateway) validates(where, prices, caddyfile string) {
	g.t.Helper()
	dir := g.t.TempDir()
	for name, text := range map[string]string{"pricing.yaml": prices, "Caddyfile": caddyfile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	cmd := g.command("validate", "--config", filepath.Join(dir, "Caddyfile"))
	cmd.Dir, cmd.Env = dir, append(cmd.Env, "FAREBOX_PRICING="+filepath.Join(dir, "pricing.yaml"), "FAREBOX_UPSTREAM_KEY=sk")
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Errorf("%s does not validate: %v\n%s", where, err, out)
	}
	if out := g.exec("meter", "prices", "check", filepath.Join(dir, "pricing.yaml")); out.code != 0 || !strings.Contains(strings.ReplaceAll(out.stdout, " ", ""), `"problems":[]`) {
		g.t.Errorf("%s: the price file has problems:\n%s%s", where, out.stdout, out.stderr)
	}
}

// kubectl reads the manifests, too.
func TestDeployKustomize(t *testing.T) {
	t.Parallel()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not installed: what it says of the manifests is not checked")
	}
	for _, way := range []string{"standalone", "sidecar"} {
		out, err := exec.Command(kubectl, "kustomize", deploy+"kubernetes/"+way).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("kind: Deployment")) {
			t.Errorf("kubectl kustomize %s: %v\n%s", way, err, out)
		}
	}
}

var ofCompose = regexp.MustCompile(`(?m)^# +docker compose (?:run --rm farebox|exec farebox farebox) (.*?)(?: +#.*)?$`)

// The Compose file has an AI server that only the gateway reaches.
func TestDeployCompose(t *testing.T) {
	t.Parallel()
	file := deploy + "compose/compose.yaml"
	text := read(t, file)
	all := documents(t, "compose")
	at := slices.IndexFunc(all, func(o object) bool { return o.at("services") != nil })
	if at < 0 {
		t.Fatal("there are no services")
	}
	c := all[at]
	if c.at("services.farebox.read_only") != true || !slices.Equal(c.words("services.farebox.cap_drop"), []string{"ALL"}) {
		t.Error("the gateway has rights that it does not need")
	}
	if c.at("services.ollama.ports") != nil {
		t.Error("Ollama can be reached without the gateway")
	}
	context := filepath.Join(deploy, "compose", c.text("services.farebox.build.context"))
	if _, err := os.Stat(filepath.Join(context, c.text("services.farebox.build.dockerfile"))); err != nil {
		t.Error(err)
	}
	volumes, _ := c.at("volumes").(map[string]any)
	for _, service := range []string{"farebox", "ollama"} {
		for _, v := range c.words("services." + service + ".volumes") {
			source, _, _ := strings.Cut(v, ":")
			if _, named := volumes[source]; named {
				continue
			}
			if _, err := os.Stat(filepath.Join(deploy, "compose", source)); err != nil {
				t.Error(err)
			}
		}
	}
	commands := ofCompose.FindAllStringSubmatch(text, -1)
	if len(commands) != 3 {
		t.Errorf("%d commands of the gateway were found", len(commands))
	}
	for _, m := range commands {
		realCommand(t, file, strings.Fields(strings.TrimPrefix(m[1], "farebox ")))
	}
	g := bare(t)
	g.upstream = unused(t)
	g.validates(file, read(t, deploy+"compose/prices/pricing.yaml"), read(t, deploy+"Caddyfile"))
	if out, err := exec.Command("docker", "compose", "version").CombinedOutput(); err != nil {
		t.Logf("docker compose is not installed, so that it does not read the file: %s", strings.TrimSpace(string(out)))
		return
	}
	if out, err := exec.Command("docker", "compose", "-f", file, "config", "-q").CombinedOutput(); err != nil {
		t.Errorf("docker compose config: %v\n%s", err, out)
	}
}
