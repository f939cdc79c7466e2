// Decode checks objects and files strictly: unknown fields and wrong types are errors.
//
// Usage: decode objects < OBJECTS
//
//	decode compose FILE
//
// OBJECTS are custom resources, one in JSON on each line, which are decoded into the types of the project
// that defines them, those of Istio into its messages. FILE is a Compose file, which is checked against the schema of the specification.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1"
	security "istio.io/api/security/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// types has an empty object of each custom resource by version and kind.
var types = map[string]func() any{
	"gateway.networking.k8s.io/v1 GRPCRoute":  func() any { return new(gateway.GRPCRoute) },
	"monitoring.coreos.com/v1 PodMonitor":     func() any { return new(monitoring.PodMonitor) },
	"monitoring.coreos.com/v1 PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
}

// specs has an empty specification of each resource of Istio. Its own types ignore unknown fields.
var specs = map[string]func() proto.Message{
	"networking.istio.io/v1 DestinationRule":   func() proto.Message { return new(networking.DestinationRule) },
	"networking.istio.io/v1 VirtualService":    func() proto.Message { return new(networking.VirtualService) },
	"security.istio.io/v1 AuthorizationPolicy": func() proto.Message { return new(security.AuthorizationPolicy) },
	"security.istio.io/v1 PeerAuthentication":  func() proto.Message { return new(security.PeerAuthentication) },
}

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "objects":
		err = objects()
	case len(os.Args) == 3 && os.Args[1] == "compose":
		err = compose(os.Args[2])
	default:
		err = fmt.Errorf("usage: decode objects < OBJECTS, or decode compose FILE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func objects() error {
	lines := bufio.NewScanner(os.Stdin)
	// A dashboard or a list of alerts is longer than the default of 64 KiB.
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var header struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := json.Unmarshal(lines.Bytes(), &header); err != nil {
			return err
		}
		kind := header.APIVersion + " " + header.Kind
		if spec, isIstio := specs[kind]; isIstio {
			if err := istio(lines.Bytes(), spec()); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			fmt.Println(kind)
			continue
		}
		empty, known := types[kind]
		if !known {
			return fmt.Errorf("%s: no type to decode it into", kind)
		}
		if err := yaml.UnmarshalStrict(lines.Bytes(), empty()); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		fmt.Println(kind)
	}
	return lines.Err()
}

// istio decodes an object whose specification is a message in the JSON of Protocol Buffers.
func istio(object []byte, spec proto.Message) error {
	var envelope struct {
		meta.TypeMeta   `json:",inline"`
		meta.ObjectMeta `json:"metadata"`
		Spec            json.RawMessage `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(object, &envelope); err != nil {
		return err
	}
	return protojson.Unmarshal(envelope.Spec, spec)
}

func compose(file string) error {
	options, err := cli.NewProjectOptions([]string{file})
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	for _, name := range project.ServiceNames() {
		fmt.Println(name)
	}
	return nil
}
