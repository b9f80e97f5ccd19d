"""Expressions in a policy's text: what is known of their types, and what is wrong with them.

A file of policy_lint, which says what is told and what is not.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set

from .policy_api import ANY, LIBRARIES, Api, Type, element, kinds, shown

# Nil in some states of a task, and not in those in which most hooks see it.
_BY_STATE = {"entry", "rank", "bytes", "submitted_at", "ready_at", "started_at", "on"}
_ARITHMETIC = {"+", "-", "*", "/", "//", "%", "^"}
_ORDER = {"<", ">", "<=", ">="}


class Finding(NamedTuple):
    line: int
    text: str
    error: bool  # it would fail when it runs


def hint(name: str, names: Iterable[str], before: str = "") -> str:
    near = difflib.get_close_matches(name, sorted(set(names)), 1, 0.65)
    return f": did you mean '{before}{near[0]}'?" if near else ""


@dataclass
class Known:
    """What the walks learn of one local or one function: by the place where it is written."""
    types: List[Type] = field(default_factory=list)  # of a local: all that is assigned
    calls: List[List[Type]] = field(default_factory=list)
    returns: List[Type] = field(default_factory=list)
    escapes: bool = False  # it goes where it can not be followed


@dataclass
class Symbol:
    name: str
    line: int
    place: int
    told: bool  # whether it is told when nobody reads it
    reads: int = 0
    type: Type = ANY
    body: Any = None  # the function that it is


class Values:
    """What one walk through the text knows, and its expressions."""

    def __init__(self, api: Api, last: "Optional[Values]" = None) -> None:
        self.api = api
        self.before: Dict[int, Known] = last.known if last else {}
        self.returned = last.returns if last else None
        self.set_somewhere: Set[str] = last.globals if last else set()
        self.known: Dict[int, Known] = {}
        self.found: Set[Finding] = set()
        self.scopes: List[Dict[str, Symbol]] = [{}]
        self.tested: Set[str] = set()  # texts of what was asked whether it is nil
        self.functions: List[int] = []  # where those around this place begin
        self.hooks: Dict[int, str] = {}  # which of them are hooks
        self.why: Dict[int, str] = {}  # of a field that may be nil, by the place where it ends
        self.globals: Set[str] = set()  # that the text sets
        self.returns: Optional[int] = None  # the local that the file returns

    # ---- telling and knowing

    def tell(self, node: Any, text: str, error: bool = True) -> None:
        self.found.add(Finding(node.start_point[0] + 1, text, error))

    def note(self, place: int) -> Known:
        return self.known.setdefault(place, Known())

    def joined(self, types: List[Type]) -> Type:
        return frozenset().union(*types) if types and all(types) else ANY

    def find(self, name: str) -> Optional[Symbol]:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    def declare(self, node: Any, kind: Type, told: bool = True, body: Any = None) -> Symbol:
        name, place = node.text.decode(), node.start_byte
        known = self.note(place)
        known.types.append(kind)
        was = self.before.get(place)
        symbol = Symbol(name, node.start_point[0] + 1, place, told and not name.startswith("_"), body=body)
        symbol.type = kind if was is None or not was.types else self.joined(was.types)
        self.tested.discard(name)
        self.scopes[-1][name] = symbol
        return symbol

    def leave(self) -> None:
        for symbol in self.scopes.pop().values():
            if symbol.told and not symbol.reads:
                self.found.add(Finding(symbol.line, f"the local '{symbol.name}' is never read", False))

    def function(self, node: Any, hook: Optional[str] = None, told: Optional[List[Type]] = None) -> None:
        raise NotImplementedError  # statements are policy_lint's

    # ---- expressions

    def condition(self, node: Any) -> None:
        self.value(node)
        self.test(node)

    def test(self, node: Any) -> None:
        """What this asks whether it is nil counts as looked at from here on."""
        if node.type in ("identifier", "dot_index_expression", "bracket_index_expression"):
            self.tested.add(node.text.decode())
        elif node.type in ("parenthesized_expression", "unary_expression"):
            self.test(node.named_children[-1])
        elif node.type == "binary_expression" and node.children[1].type in ("and", "or", "==", "~="):
            self.test(node.named_children[0])
            self.test(node.named_children[-1])

    def value(self, node: Any) -> Type:
        got = self.values(node)
        return got[0] if got else frozenset({"nil"})

    def values(self, node: Any) -> List[Type]:
        handler = getattr(self, f"of_{node.type}", None)
        if handler:
            out = handler(node)
            return out if isinstance(out, list) else [out]
        for child in node.named_children:
            self.value(child)
        return [ANY]

    def of_number(self, node: Any) -> Type:
        return frozenset({"integer" if node.text.isdigit() else "number"})

    def of_string(self, node: Any) -> Type:
        return frozenset({'"' + (node.text.decode("utf-8", "replace")[1:-1]) + '"'})

    def of_nil(self, node: Any) -> Type:
        return frozenset({"nil"})

    def of_true(self, node: Any) -> Type:
        return frozenset({"boolean"})

    def of_false(self, node: Any) -> Type:
        return frozenset({"false"})

    def of_function_definition(self, node: Any) -> Type:
        self.note(node.start_byte).escapes = True
        self.function(node)
        return frozenset({"function"})

    def of_parenthesized_expression(self, node: Any) -> Type:
        return self.value(node.named_children[0])

    def of_table_constructor(self, node: Any) -> Type:
        for one in node.named_children:
            name = one.child_by_field_name("name")
            if name is not None and one.children[0].type == "[":
                self.value(name)
            if (value := one.child_by_field_name("value")) is not None:
                self.value(value)
        return frozenset({"table"})

    def of_identifier(self, node: Any) -> Type:
        name = node.text.decode()
        symbol = self.find(name)
        if symbol:
            symbol.reads += 1
            if symbol.body is not None:
                self.note(symbol.body.start_byte).escapes = True
            return symbol.type
        if name in self.api.units:
            return frozenset({"integer"})
        if name in self.api.missing:
            self.tell(node, f"'{name}' is not available: {self.api.missing[name]}")
        elif name not in self.api.globals() and name not in self.set_somewhere:
            near = hint(name, [*self.api.globals(), *(n for scope in self.scopes for n in scope)])
            self.tell(node, f"'{name}' is not known{near or ': a variable must be set before it is read'}")
        elif name in self.api.functions:
            return frozenset({"function"})
        return ANY

    def of_dot_index_expression(self, node: Any) -> Type:
        table, name = node.child_by_field_name("table"), node.child_by_field_name("field").text.decode()
        library = table.text.decode()
        if library in LIBRARIES and table.type == "identifier" and not self.find(library):
            members = [n[len(library) + 1:] for n in self.api.library if n.startswith(library + ".")]
            if name not in members:
                near = hint(name, members, library + ".")
                self.tell(node, f"'{library}.{name}' is not known{near}" if near else
                          f"'{library}.{name}' is not available (a budget can not hold all of that library)")
            return frozenset({"number"}) if name in ("huge", "pi", "maxinteger", "mininteger") else ANY
        kind = self.value(table)
        self.not_nil(table, kind, "is indexed")
        return self.field(node, kind, name)

    def field(self, node: Any, kind: Type, name: str) -> Type:
        here = kind - {"nil"}
        if not here or any(one not in self.api.classes for one in here):
            if here and kinds(here) <= {"number", "boolean", "function"}:
                self.tell(node, f"{shown(here)} has no field '{name}'")
            return element(kind) if all(one.startswith("table<") for one in here) else ANY
        types = [self.api.classes[one][name] for one in here if name in self.api.classes[one]]
        if not types:
            names = [n for one in here for n in self.api.classes[one]]
            self.tell(node, f"{shown(here)} has no field '{name}'{hint(name, names)}")
            return ANY
        if name not in _BY_STATE:
            self.why[node.end_byte] = next((why for one in here if (why := self.api.why_nil.get((one, name)))), "")
        return self.joined(types)

    def of_bracket_index_expression(self, node: Any) -> Type:
        table, key = node.child_by_field_name("table"), node.child_by_field_name("field")
        kind = self.value(table)
        self.value(key)
        if key.type == "string" and kind & set(self.api.classes):
            return self.field(node, kind, key.text.decode()[1:-1])
        return element(kind) if kind and all(one.endswith("[]") or one.startswith("table<") for one in kind) else ANY

    def of_unary_expression(self, node: Any) -> Type:
        operand = node.named_children[-1]
        if node.children[0].type == "-":
            return self.number(operand, "the operand of -")
        kind = self.value(operand)
        if node.children[0].type == "not":
            self.test(operand)
            return frozenset({"boolean"})
        if node.children[0].type == "#" and kinds(kind) & {"Task", "Slot", "Node", "number", "function"}:
            self.tell(node, f"{shown(kind)} has no length: # is of tables and strings")
        return frozenset({"integer"})

    def of_binary_expression(self, node: Any) -> Type:
        left, op, right = node.named_children[0], node.children[1].type, node.named_children[-1]
        if op in _ARITHMETIC:
            a, b = self.number(left, f"the left of {op}"), self.number(right, f"the right of {op}")
            return frozenset({"integer"}) if a == b == {"integer"} and op in "+-*" else frozenset({"number"})
        a = self.value(left)
        if op in ("and", "or"):
            self.test(left)
            b = self.value(right)
            if not a or not b:
                return ANY
            return b | (a & {"nil", "false", "boolean"}) if op == "and" else (a - {"nil", "false"}) | b
        b = self.value(right)
        if op in _ORDER:
            self.compared(node, left, right, a, b)
        elif op == "..":
            for one, kind in ((left, a), (right, b)):
                self.not_nil(one, kind, "is joined to a text")
                if kinds(kind) and not kinds(kind) & {"string", "number"}:
                    self.tell(one, f"{shown(kind)} can not be joined to a text: use tostring()")
            return frozenset({"string"})
        elif op in ("==", "~="):
            self.equal(node, a, b)
        else:
            return frozenset({"integer"})
        return frozenset({"boolean"})

    def number(self, node: Any, what: str) -> Type:
        kind = self.value(node)
        self.not_nil(node, kind, "is reckoned with")
        if kinds(kind) and "number" not in kinds(kind):
            self.tell(node, f"{what} must be a number, '{self.text(node)}' is {shown(kind)}")
        return kind

    def compared(self, node: Any, left: Any, right: Any, a: Type, b: Type) -> None:
        self.not_nil(left, a, "is compared")
        self.not_nil(right, b, "is compared")
        x, y = kinds(a), kinds(b)
        for one, kind in ((left, x), (right, y)):
            if kind and not kind & {"number", "string"}:
                self.tell(one, f"'{self.text(one)}' is {shown(frozenset(kind))}: only numbers and texts have an order")
                return
        if x and y and not x & y:
            self.tell(node, f"'{self.text(left)}' is {shown(a)}, '{self.text(right)}' is {shown(b)}: they have no order")

    def equal(self, node: Any, a: Type, b: Type) -> None:
        for some, one in ((a, b), (b, a)):
            names = [n[1:-1] for n in some - {"nil"}]
            if len(some) > 1 and all(n.startswith('"') for n in some - {"nil"}) and len(one) == 1 and not one & some:
                wrong = next(iter(one))
                if wrong.startswith('"'):
                    self.tell(node, f"it is never {wrong}{hint(wrong[1:-1], names) or ', but one of ' + ' '.join(sorted(names))}", False)
                    return
        x, y = kinds(a), kinds(b)
        if x and y and not x & y and not ("nil" in a and "nil" in b):
            self.tell(node, f"{shown(a)} is never equal to {shown(b)}", False)

    def text(self, node: Any) -> str:
        text: str = node.text.decode("utf-8", "replace")
        return text if len(text) < 40 else text[:36] + " ..."

    def not_nil(self, node: Any, kind: Type, what: str) -> None:
        """An error if this may be nil, and nobody asked before."""
        text = node.text.decode("utf-8", "replace")
        if "nil" not in kind or text in self.tested:
            return
        if node.type == "dot_index_expression":
            if why := self.why.get(node.end_byte):
                self.tell(node, f"'{text}' may be nil ({why}) and {what}: ask `if {text} then` first, or say what it is otherwise")
        elif node.type == "function_call" and text.split("(")[0] in self.api.functions:
            self.tell(node, f"'{self.text(node)}' may be nil and {what}")
        elif node.type == "identifier" and kind != {"nil"} and (symbol := self.find(text)) and not self.functions_between(symbol):
            self.tell(node, f"'{text}' may be nil and {what}: ask `if {text} then` first")

    def functions_between(self, symbol: Symbol) -> bool:
        """Whether it is of a function around this one, where it may have been set in the meantime, or is assigned twice."""
        was = self.before.get(symbol.place)
        return symbol.place < (self.functions[-1] if self.functions else 0) or bool(was and len(was.types) > 1)

    # ---- calls

    def walked(self, node: Any) -> List[Type]:
        """What a `for` gets from `ipairs(xs)`, `pairs(xs)`, `ready()`."""
        callee = node.child_by_field_name("name") if node.type == "function_call" else None
        if callee is not None and callee.text in (b"ipairs", b"pairs") and not self.find(callee.text.decode()):
            arguments = node.child_by_field_name("arguments").named_children
            kind = self.value(arguments[0]) if arguments else ANY
            first = frozenset({"integer"}) if callee.text == b"ipairs" else ANY
            if arguments and kinds(kind) & {"function", "Task", "Slot", "Node", "number"}:
                self.tell(node, f"{callee.text.decode()} walks a table, '{self.text(arguments[0])}' is {shown(kind)}")
            return [first, element(kind)]
        kind = self.value(node)
        if kinds(kind) & {"table", "Task", "Slot", "Node"}:
            self.tell(node, f"`for` needs an iterator, '{self.text(node)}' is {shown(kind)}: write ipairs({self.text(node)})")
        return [element(kind)]

    def of_function_call(self, node: Any) -> Any:
        callee, arguments = node.child_by_field_name("name"), node.child_by_field_name("arguments").named_children
        name = callee.text.decode()
        if callee.type == "identifier" and (symbol := self.find(name)) and symbol.body is not None:
            symbol.reads += 1
            self.note(symbol.body.start_byte).calls.append([self.value(one) for one in arguments])
            was = self.before.get(symbol.body.start_byte)
            return self.joined(was.returns) if was else ANY
        if callee.type == "identifier" and not self.find(name) and name in self.api.functions:
            return self.host_call(node, name, arguments)
        if callee.type == "method_index_expression":
            kind, method = self.value(callee.child_by_field_name("table")), callee.child_by_field_name("method").text.decode()
            if kinds(kind) == {"string"} and f"string.{method}" not in self.api.library:
                members = [n[7:] for n in self.api.library if n.startswith("string.")]
                self.tell(callee, f"'string.{method}' is not available{hint(method, members, 'string.')}")
            elif kind & {"Task", "Slot", "Node"}:
                self.tell(callee, f"a {next(iter(kinds(kind))).lower()} has no functions of its own: write {method}(...)")
        else:
            kind = self.value(callee)
            if kinds(kind) and not kinds(kind) & {"function", "table"}:
                self.tell(callee, f"'{self.text(callee)}' is {shown(kind)}, which can not be called")
        for one in arguments:
            self.value(one)
            if name == "assert":
                self.test(one)
        return ANY

    def host_call(self, node: Any, name: str, arguments: List[Any]) -> List[Type]:
        function = self.api.functions[name]
        generic: Type = ANY
        open_end = bool(arguments) and arguments[-1].type in ("function_call", "vararg_expression")
        for i, one in enumerate(arguments):
            wanted = function.params[i][1] if i < len(function.params) else ANY
            callback = next((t for t in wanted if t.startswith("fun(x: T)")), None)
            if callback and one.type == "function_definition":
                self.function(one, told=[generic])
                continue
            if callback and one.type == "identifier" and (symbol := self.find(one.text.decode())) and symbol.body is not None:
                symbol.reads += 1
                self.note(symbol.body.start_byte).calls.append([generic])
                continue
            kind = self.value(one)
            if "T[]" in wanted:
                generic = element(kind)
                if kinds(kind) & {"Task", "Slot", "Node", "number", "string"}:
                    self.tell(one, f"{name} goes through an array or an iterator, '{self.text(one)}' is {shown(kind)}")
                continue
            if kinds(wanted) and kinds(kind) and not kinds(kind) & kinds(wanted):
                self.tell(one, f"{name}: argument {i + 1} must be {shown(wanted)}, '{self.text(one)}' is {shown(kind)}")
            elif wanted and "nil" not in wanted:
                self.not_nil(one, kind, f"is given to {name}")
        needed = max((i + 1 for i, (_, kind) in enumerate(function.params) if "nil" not in kind), default=0)
        if len(arguments) > len(function.params):
            self.tell(node, f"{name} takes {len(function.params)} arguments, not {len(arguments)}", False)
        elif len(arguments) < needed and not open_end:
            self.tell(node, f"{name}({', '.join(param for param, _ in function.params)}) needs {needed} arguments, got {len(arguments)}")
        return [generic if kind == {"T", "nil"} else kind - {"nil"} if "T[]" in str(function.params) else kind
                for kind in function.returns]
