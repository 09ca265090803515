// health says of objects what Argo CD and kstatus say: the script of Argo CD runs in Argo CD's own engine with the libraries
// that Argo CD gives to it, and kstatus is the one that Flux and Helm are built with. Tests ask it; nothing else does.
//
// Each line of the input is {"script": "...", "object": {...}}; each line of the output answers one.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Script string         `json:"script"`
	Object map[string]any `json:"object"`
}

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type answer struct {
	Argo    health `json:"argo"`
	Kstatus health `json:"kstatus"`
}

// toLua turns JSON into Lua's values as Argo CD does: null is nil, a list is a table that counts from 1.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

func argo(script string, object map[string]any) (health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	}
	for name, open := range libraries {
		call := lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return health{}, err
		}
	}
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return health{}, fmt.Errorf("the script gives a %s, not a table", state.Get(-1).Type())
	}
	text := func(key string) string { return lua.LVAsString(table.RawGetString(key)) }
	return health{Status: text("status"), Message: text("message")}, nil
}

func kstatus(object map[string]any) (health, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return health{}, err
	}
	return health{Status: string(result.Status), Message: result.Message}, nil
}

// integers gives whole numbers the type that Kubernetes' own decoder gives them.
func integers(value any) any {
	switch value := value.(type) {
	case float64:
		if whole := int64(value); float64(whole) == value {
			return whole
		}
	case []any:
		for i, item := range value {
			value[i] = integers(item)
		}
	case map[string]any:
		for key, item := range value {
			value[key] = integers(item)
		}
	}
	return value
}

func answerLine(line []byte) ([]byte, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return nil, err
	}
	if asked.Object == nil {
		return nil, fmt.Errorf("there is no object")
	}
	found, err := argo(asked.Script, asked.Object)
	if err != nil {
		return nil, fmt.Errorf("Lua: %w", err)
	}
	integers(asked.Object)
	computed, err := kstatus(asked.Object)
	if err != nil {
		return nil, fmt.Errorf("kstatus: %w", err)
	}
	return json.Marshal(answer{Argo: found, Kstatus: computed})
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 16<<20)
	for number := 1; input.Scan(); number++ {
		line, err := answerLine(input.Bytes())
		if err != nil {
			fmt.Fprintf(os.Stderr, "line %d: %v\n", number, err)
			os.Exit(1)
		}
		fmt.Println(string(line))
	}
	if err := input.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
