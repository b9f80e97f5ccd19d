"""What can be said of a policy's text without running it: names, fields and arguments that there are not, values of the wrong type,
a field that may be nil where a number is needed, locals that nobody reads, globals that are set.

What there is says policy_api.  Of a value whose type is not known nothing is ever said.  What is told as an error would fail when
the line runs; what is told as a warning is legal and hardly meant.

The text is walked three times: what a function is called with, and what it returns, is known in the next walk.
"""

from __future__ import annotations

from typing import Any, Iterable, List, Optional, Tuple

from .policy_api import ANY, Api, Type, kinds, shown
from .policy_values import Finding, Symbol, Values, hint

_WALKS = 3


class Walk(Values):
    """One walk through the text: its statements."""

    # ---- statements

    def block(self, node: Any) -> None:
        if node is None:
            return
        self.scopes.append({})
        for child in node.named_children:
            self.statement(child)
        self.leave()

    def statement(self, node: Any) -> None:
        handler = getattr(self, f"do_{node.type}", None)
        if handler:
            handler(node)
        elif node.type == "function_call":
            self.values(node)
        else:
            for child in node.named_children:
                self.statement(child)

    def do_variable_declaration(self, node: Any) -> None:
        inner = node.named_children[0]
        names, values = (inner, None) if inner.type == "variable_list" else inner.named_children[:2]
        names = names.children_by_field_name("name")
        got = self.assigned(values, len(names)) if values else [(frozenset({"nil"}), None)] * len(names)
        for name, (kind, body) in zip(names, got):
            self.declare(name, kind, body=body)

    def do_assignment_statement(self, node: Any) -> None:
        names, values = node.named_children[:2]
        targets = names.named_children
        for target, (kind, body) in zip(targets, self.assigned(values, len(targets), targets)):
            self.assign(target, kind, body)

    def do_function_declaration(self, node: Any) -> None:
        name = node.child_by_field_name("name")
        if node.children[0].type == "local":
            self.declare(name, frozenset({"function"}), body=node)
        else:
            self.assign(name, frozenset({"function"}), node)
        self.function(node, self.hook_of(name))

    def do_do_statement(self, node: Any) -> None:
        self.block(node.child_by_field_name("body"))

    def do_while_statement(self, node: Any) -> None:
        self.condition(node.child_by_field_name("condition"))
        self.block(node.child_by_field_name("body"))

    def do_repeat_statement(self, node: Any) -> None:
        self.scopes.append({})
        body = node.child_by_field_name("body")
        for child in body.named_children if body else ():
            self.statement(child)
        self.condition(node.child_by_field_name("condition"))
        self.leave()

    def do_if_statement(self, node: Any) -> None:
        self.condition(node.child_by_field_name("condition"))
        self.block(node.child_by_field_name("consequence"))
        for other in node.children_by_field_name("alternative"):
            if other.type == "elseif_statement":
                self.condition(other.child_by_field_name("condition"))
            self.block(other.child_by_field_name("consequence") or other.child_by_field_name("body"))

    def do_for_statement(self, node: Any) -> None:
        clause = node.child_by_field_name("clause")
        if clause.type == "for_numeric_clause":
            for part in ("start", "end", "step"):
                if (value := clause.child_by_field_name(part)) is not None:
                    self.number(value, "a number of `for`")
            names, got = [clause.child_by_field_name("name")], [frozenset({"number"})]
        else:
            names, values = clause.named_children[0].children_by_field_name("name"), clause.named_children[1].named_children
            got = self.walked(values[0]) + [ANY] * len(names)
            for value in values[1:]:
                self.value(value)
        self.scopes.append({})
        for name, kind in zip(names, got):
            self.declare(name, kind, told=False)
        self.block(node.child_by_field_name("body"))
        self.leave()

    def do_return_statement(self, node: Any) -> None:
        values = node.named_children[0].named_children if node.named_children else []
        if self.functions:
            got = [self.value(value) for value in values]
            self.note(self.functions[-1]).returns.append(got[0] if got else frozenset({"nil"}))
            if values and (hook := self.hooks.get(self.functions[-1])):
                self.answer(values[0], hook, got[0])
        elif values and values[0].type == "table_constructor":
            self.hook_table(values[0])
        else:
            for value in values:
                symbol = self.find(value.text.decode()) if value.type == "identifier" else None
                self.returns = symbol.place if symbol else None
                self.value(value)

    # ---- hooks

    def hook_of(self, target: Any) -> Optional[str]:
        """The hook that `function M.rank()` or `M.rank =` writes, if the file returns M."""
        if target.type != "dot_index_expression" or self.returned is None:
            return None
        symbol = self.find(target.child_by_field_name("table").text.decode())
        name = target.child_by_field_name("field").text.decode()
        return name if symbol and symbol.place == self.returned and name in self.api.hooks else None

    def hook_table(self, table: Any) -> None:
        for one in table.named_children:
            name, value = one.child_by_field_name("name"), one.child_by_field_name("value")
            hook = name.text.decode() if name is not None and name.type == "identifier" else ""
            self.given(value, hook if hook in self.api.hooks else None)

    def given(self, value: Any, hook: Optional[str]) -> None:
        """A function in the place of a hook."""
        if hook is None or value is None:
            if value is not None:
                self.value(value)
        elif value.type == "function_definition":
            self.function(value, hook)
        elif value.type == "identifier" and (symbol := self.find(value.text.decode())) and symbol.body is not None:
            symbol.reads += 1
            self.note(symbol.body.start_byte).calls.append([kind for _, kind in self.api.hooks[hook].params])
        else:
            self.value(value)

    def answer(self, node: Any, hook: str, got: Type) -> None:
        wanted = self.api.hooks[hook].returns
        if not wanted and got - {"nil"} and hook != "save":
            self.tell(node, f"{hook} is a notice: what it returns is not looked at", False)
        elif wanted and wanted[0] and kinds(got) and not kinds(got) & kinds(wanted[0]):
            self.tell(node, f"{hook} must return {shown(wanted[0], nil=True)}, this is {shown(got)}")

    def function(self, node: Any, hook: Optional[str] = None, told: Optional[List[Type]] = None) -> None:
        """The body; `told`: what the function is called with, where that is known from the place it stands at."""
        place = node.start_byte
        known = self.before.get(place)
        calls = [told] if told else known.calls if known and not known.escapes else []
        params = [p for p in node.child_by_field_name("parameters").named_children if p.type == "identifier"]
        if hook:
            given = self.api.hooks[hook].params
            calls = [[kind for _, kind in given]]
            self.hooks[place] = hook
            for extra in params[len(given):]:
                names = ", ".join(name for name, _ in given) or "nothing"
                self.tell(extra, f"{hook} is given {names}: '{extra.text.decode()}' is always nil", False)
        tested, self.tested = self.tested, set(self.tested)
        self.functions.append(place)
        self.scopes.append({})
        for i, param in enumerate(params):
            kind = self.joined([call[i] if i < len(call) else frozenset({"nil"}) for call in calls])
            self.declare(param, kind, told=False).type = kind
        self.block(node.child_by_field_name("body"))
        self.leave()
        self.functions.pop()
        self.tested = tested

    # ---- assignment

    def assigned(self, values: Any, n: int, targets: Iterable[Any] = ()) -> List[Tuple[Type, Any]]:
        """The type of each of n names, and the function that it is."""
        nodes, out = values.named_children, []  # type: Any, List[Tuple[Type, Any]]
        hooks = [self.hook_of(target) for target in targets]
        for i, node in enumerate(nodes):
            if node.type == "function_definition":
                out.append((frozenset({"function"}), node))
                self.function(node, hooks[i] if i < len(hooks) else None)
            elif i + 1 == len(nodes):
                out += [(kind, None) for kind in self.values(node)]
            else:
                out.append((self.value(node), None))
        open_end = nodes and nodes[-1].type in ("function_call", "vararg_expression")
        return out + [(ANY if open_end else frozenset({"nil"}), None)] * (n - len(out))

    def assign(self, target: Any, kind: Type, body: Any) -> None:
        if target.type == "identifier":
            name = target.text.decode()
            symbol = self.find(name)
            if symbol is None:
                known = self.api.globals()
                near = hint(name, [n for scope in self.scopes for n in scope]) if name not in known else ""
                self.tell(target, f"'{name}' is set and is no local: " + (near[2:] if near else f"write local {name}"), False)
                self.globals.add(name)
                return
            if body is not None:
                symbol.body = body if symbol.body is None else symbol.body
                if symbol.body is not body:
                    self.note(symbol.body.start_byte).escapes = self.note(body.start_byte).escapes = True
            self.note(symbol.place).types.append(kind)
            self.tested.discard(name)
        elif target.type in ("dot_index_expression", "bracket_index_expression"):
            table = self.value(target.child_by_field_name("table"))
            if target.type == "bracket_index_expression":
                self.value(target.child_by_field_name("field"))
            if table & {"Task", "Slot", "Node"}:
                self.tell(target, "a handle's fields can not be set: keep a table of your own, with the handle as key")
            if body is not None and not self.hook_of(target):
                self.note(body.start_byte).escapes = True


def lint(text: bytes) -> List[Finding]:
    """What is wrong in a policy's text, by line.  The text must be one that Lua reads: nothing is said of its syntax."""
    import tree_sitter
    import tree_sitter_lua

    api = Api()
    tree = tree_sitter.Parser(tree_sitter.Language(tree_sitter_lua.language())).parse(text.removeprefix(b"\xef\xbb\xbf"))
    walk = None
    for _ in range(_WALKS):
        walk = Walk(api, walk)
        walk.block(tree.root_node)
    return sorted(walk.found) if walk else []
