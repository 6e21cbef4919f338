package soap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"qianzhi/protocol"
)

// wsdl is what is looked at of a WSDL 1.1 description.
type wsdl struct {
	XMLName  xml.Name      `xml:"http://schemas.xmlsoap.org/wsdl/ definitions"`
	Schemas  []schema      `xml:"types>schema"`
	Messages []wsdlMessage `xml:"message"`
	Ports    []struct {
		Operations []wsdlOperation `xml:"operation"`
	} `xml:"portType"`
	Bindings []struct {
		SOAP struct {
			Style string `xml:"style,attr"`
		} `xml:"binding"`
		Operations []struct {
			Name string `xml:"name,attr"`
			SOAP struct {
				Action string `xml:"soapAction,attr"`
				Style  string `xml:"style,attr"`
			} `xml:"http://schemas.xmlsoap.org/wsdl/soap/ operation"`
			SOAP12 struct {
				Action string `xml:"soapAction,attr"`
				Style  string `xml:"style,attr"`
			} `xml:"http://schemas.xmlsoap.org/wsdl/soap12/ operation"`
		} `xml:"operation"`
	} `xml:"binding"`
}

type wsdlMessage struct {
	Name  string `xml:"name,attr"`
	Parts []struct {
		Name    string `xml:"name,attr"`
		Element string `xml:"element,attr"`
	} `xml:"part"`
}

type wsdlOperation struct {
	Name  string `xml:"name,attr"`
	Input struct {
		Message string `xml:"message,attr"`
	} `xml:"input"`
	Output struct {
		Message string `xml:"message,attr"`
	} `xml:"output"`
}

type schema struct {
	Elements []element     `xml:"element"`
	Types    []complexType `xml:"complexType"`
}

type element struct {
	Name string       `xml:"name,attr"`
	Type string       `xml:"type,attr"`
	Own  *complexType `xml:"complexType"`
}

type complexType struct {
	Name     string    `xml:"name,attr"`
	Sequence []element `xml:"sequence>element"`
	All      []element `xml:"all>element"`
}

// CheckWSDL compares the messages of a link with a WSDL 1.1 description: the
// action of each must be one of the service's operations, the element in its
// body that operation's, both ways, and, where the schema is in the description
// itself, so must the elements in that one. Namespaces are not compared. Errors
// name the message.
func CheckWSDL(description []byte, d *protocol.Dialect) error {
	var w wsdl
	if err := decoder(description).Decode(&w); err != nil {
		return err
	}
	for i := range d.Map.Messages {
		m := &d.Map.Messages[i]
		if err := w.check(m); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

func (w *wsdl) check(m *protocol.Message) error {
	action := ""
	for _, c := range m.Request.Consts {
		if c.Slot.Head == protocol.HeadSub {
			action = c.Val
		}
	}
	name, rpc, ok := w.operation(action)
	if !ok {
		return fmt.Errorf("no operation has the action %q", action)
	}
	for _, p := range w.Ports {
		for _, op := range p.Operations {
			if op.Name == name {
				return errors.Join(w.side("request", &m.Request, w.names(op.Input.Message, name, rpc)),
					w.side("reply", &m.Reply, w.names(op.Output.Message, name+"Response", rpc)))
			}
		}
	}
	return fmt.Errorf("operation %q is in no port type", name)
}

// operation finds the operation with the action.
func (w *wsdl) operation(action string) (name string, rpc, ok bool) {
	for _, b := range w.Bindings {
		for _, op := range b.Operations {
			if op.SOAP.Action == action || op.SOAP12.Action == action && action != "" {
				style := op.SOAP.Style + op.SOAP12.Style
				return op.Name, style == "rpc" || style == "" && b.SOAP.Style == "rpc", true
			}
		}
	}
	return "", false, false
}

// allowed is what may stand in the body: an element, and what in that; kids is
// nil when the description does not tell.
type allowed struct {
	element string
	kids    []string
}

func (w *wsdl) names(message, wrapper string, rpc bool) (a allowed) {
	for _, m := range w.Messages {
		if m.Name != local(message) {
			continue
		}
		if rpc {
			a.element = wrapper
			for _, p := range m.Parts {
				a.kids = append(a.kids, p.Name)
			}
			return a
		}
		if len(m.Parts) == 1 {
			a.element = local(m.Parts[0].Element)
			a.kids = w.kids(a.element)
		}
	}
	return a
}

func (w *wsdl) kids(name string) []string {
	for _, s := range w.Schemas {
		for _, e := range s.Elements {
			if e.Name != name {
				continue
			}
			t := e.Own
			for i := range w.Schemas {
				for j := range w.Schemas[i].Types {
					if t == nil && w.Schemas[i].Types[j].Name == local(e.Type) {
						t = &w.Schemas[i].Types[j]
					}
				}
			}
			if t == nil {
				return nil
			}
			var kids []string
			for _, k := range slices.Concat(t.Sequence, t.All) {
				kids = append(kids, k.Name)
			}
			return kids
		}
	}
	return nil
}

func local(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }

// side checks the paths of one direction of a message.
func (w *wsdl) side(which string, r *protocol.Rules, a allowed) error {
	if a.element == "" {
		return fmt.Errorf("%s: the description has no such message", which)
	}
	var paths []string
	for _, c := range r.Consts {
		paths = append(paths, c.Slot.Name)
	}
	for _, m := range r.Moves {
		paths = append(paths, m.Slot.Name)
	}
	for _, path := range paths {
		parts := strings.Split(path, ".")
		if local(parts[0]) != "Body" {
			continue
		}
		if len(parts) < 2 || local(parts[1]) != a.element {
			return fmt.Errorf("%s: %s: the service has the element %q there", which, path, a.element)
		}
		if len(parts) > 2 && a.kids != nil && !slices.Contains(a.kids, local(parts[2])) {
			return fmt.Errorf("%s: %s: %q has no such element", which, path, a.element)
		}
	}
	return nil
}
