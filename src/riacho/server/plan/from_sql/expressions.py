"""SQL expression text → expression messages, as far as riacho must see what is inside.

A condition or key written as text (`expr("a.k = b.k AND a.ts >= b.ts - INTERVAL 1 HOUR")`, or a clause of a SQL query)
hides its columns, calls and comparisons from checks and from stateful operators. What this reader knows becomes the
message that the DataFrame API would have made; what it does not know stays text, as the smallest piece possible, and
the engine reads that.
"""

from __future__ import annotations

from collections.abc import Sequence

from riacho.protos import pb
from riacho.server.sql.interval_literals import read_interval
from riacho.server.sql.tokens import Token, closing, identifier, string_value, tokenize
from riacho.server.sql.words import words

Expression = pb.Expression

_COMPARISONS = {"=": "==", "==": "==", "<=>": "<=>", "<>": "!=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SUMS = {"+": "+", "-": "-", "||": "concat"}
_PRODUCTS = {"*": "*", "/": "/", "%": "%"}
_NOT_NAMES = words(
    "AND OR NOT CASE WHEN THEN ELSE END IN IS LIKE ILIKE RLIKE REGEXP BETWEEN EXISTS INTERVAL CAST TRY_CAST SELECT "
    "FROM WHERE AS DISTINCT NULL TRUE FALSE DATE TIMESTAMP TIMESTAMP_NTZ TIMESTAMP_LTZ EXTRACT OVER FILTER WITHIN DIV "
    "ARRAY MAP STRUCT POSITION SUBSTRING TRIM OVERLAY"
)
"""Words that start or join something other than a column or an ordinary call."""
_CALLS_DESPITE_NAME = words("DATE TIMESTAMP ARRAY MAP STRUCT SUBSTRING")
_CALLS_WITHOUT_BRACKETS = words("CURRENT_TIMESTAMP CURRENT_DATE LOCALTIMESTAMP CURRENT_USER")


_SKIP_NULLS = words(
    "any approx_count_distinct array_agg avg bit_and bit_or bit_xor bool_and bool_or collect_list collect_set corr "
    "count count_if covar_pop covar_samp every kurtosis listagg max mean median min mode percentile percentile_approx "
    "approx_percentile regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy "
    "skewness some std stddev stddev_pop stddev_samp string_agg sum try_avg try_sum var_pop var_samp variance"
)
"""Aggregate functions that a row does not change whose first argument is null."""


class _UnknownError(Exception):
    """The reader does not know this construct."""


def read_expression(text: str, *, filters: bool = False) -> pb.Expression:
    """The expression that `text` means; `expression_string` of it where that is not known.

    `filters`: read `sum(x) FILTER (WHERE c)` as `sum(if(c, x, null))`, which is as good for functions that skip nulls.
    """
    return _ExpressionReader(text, filters=filters).whole()


def structured(expression: pb.Expression, *, filters: bool = False) -> pb.Expression:
    """`expression`, or if it is text, what the text means."""
    if expression.WhichOneof("expr_type") != "expression_string":
        return expression
    return read_expression(expression.expression_string.expression, filters=filters)


def text_expression(text: str) -> pb.Expression:
    """An expression that the engine is to read."""
    return Expression(expression_string=Expression.ExpressionString(expression=text))


def call(name: str, *arguments: pb.Expression, distinct: bool = False) -> pb.Expression:
    function = Expression.UnresolvedFunction(function_name=name, arguments=arguments, is_distinct=distinct)
    return Expression(unresolved_function=function)


class _ExpressionReader:
    """Precedence as in `SqlBaseParser.g4`: OR, AND, NOT, predicates, sums, products, signs, primaries."""

    def __init__(self, text: str, *, filters: bool = False) -> None:
        self._text = text
        self._filters = filters
        self._tokens = tokenize(text)
        self._at = 0

    def whole(self) -> pb.Expression:
        if self._tokens and self._tokens[-1].is_symbol("*"):
            return self._star()
        try:
            expression = self._or()
            alias = self._alias()
        except _UnknownError:
            return text_expression(self._text)
        if self._at < len(self._tokens):
            return text_expression(self._text)
        if alias is None:
            return expression
        return Expression(alias=Expression.Alias(expr=expression, name=[alias]))

    def _star(self) -> pb.Expression:
        """`*` or `name.*`."""
        _, behind = identifier(self._tokens, 0)
        last = len(self._tokens) - 1
        if last and not (behind == last - 1 and self._tokens[behind].is_symbol(".")):
            return text_expression(self._text)
        star = Expression.UnresolvedStar()
        if last:
            star.unparsed_target = self._text[self._tokens[0].start : self._tokens[-1].end]
        return Expression(unresolved_star=star)

    def _alias(self) -> str | None:
        """`AS name`, or a name at the end."""
        if self._word() == "AS":
            self._at += 1
        elif self._at != len(self._tokens) - 1:
            return None
        token = self._token()
        name = token.name if token else None
        if name is None:
            raise _UnknownError
        self._at += 1
        return name

    def _or(self) -> pb.Expression:
        left = self._and()
        while self._word() == "OR":
            self._at += 1
            left = call("or", left, self._and())
        return left

    def _and(self) -> pb.Expression:
        left = self._not()
        while self._word() == "AND":
            self._at += 1
            left = call("and", left, self._not())
        return left

    def _not(self) -> pb.Expression:
        if self._word() == "NOT":
            self._at += 1
            return call("not", self._not())
        return self._predicate()

    def _predicate(self) -> pb.Expression:
        left = self._sum()
        while True:
            if (name := _COMPARISONS.get(self._symbol())) is not None:
                self._at += 1
                left = call(name, left, self._sum())
            elif self._word() == "IS":
                left = self._is(left)
            elif self._word() == "BETWEEN":
                self._at += 1
                low = self._sum()
                if self._word() != "AND":
                    raise _UnknownError
                self._at += 1
                left = call("and", call(">=", left, low), call("<=", left, self._sum()))
            elif self._word() in ("IN", "LIKE", "ILIKE", "RLIKE", "REGEXP", "NOT"):
                left = self._in_or_like(left)
            else:
                return left

    def _in_or_like(self, left: pb.Expression) -> pb.Expression:
        """`[NOT] IN (value, …)`, `[NOT] LIKE pattern`."""
        negated = self._word() == "NOT"
        self._at += negated
        name = self._word()
        self._at += 1
        if name == "IN" and self._symbol() == "(":
            found = call("in", left, *self._values())
        elif name == "LIKE" and self._word() not in ("ANY", "SOME", "ALL"):
            found = call("like", left, self._sum())
        else:
            raise _UnknownError
        if self._word() == "ESCAPE":
            raise _UnknownError
        return call("not", found) if negated else found

    def _values(self) -> list[pb.Expression]:
        """The values of a list in brackets, not those of a query."""
        end = closing(self._tokens, self._at)
        if end >= len(self._tokens) or end == self._at + 1:
            raise _UnknownError
        values: list[pb.Expression] = []
        while self._at < end:
            self._at += 1
            if self._word() in ("SELECT", "WITH"):
                raise _UnknownError
            values.append(self._or())
            if self._symbol() != "," and self._at != end:
                raise _UnknownError
        self._at = end + 1
        return values

    def _is(self, left: pb.Expression) -> pb.Expression:
        self._at += 1
        negated = self._word() == "NOT"
        self._at += negated
        if self._word() != "NULL":
            raise _UnknownError
        self._at += 1
        return call("isnotnull" if negated else "isnull", left)

    def _sum(self) -> pb.Expression:
        left = self._product()
        while (name := _SUMS.get(self._symbol())) is not None:
            self._at += 1
            left = call(name, left, self._product())
        return left

    def _product(self) -> pb.Expression:
        left = self._sign()
        while (name := _PRODUCTS.get(self._symbol())) is not None:
            self._at += 1
            left = call(name, left, self._sign())
        return left

    def _sign(self) -> pb.Expression:
        if self._symbol() == "-":
            self._at += 1
            return call("negative", self._sign())
        return self._primary()

    def _primary(self) -> pb.Expression:
        token = self._token()
        if token is None:
            raise _UnknownError
        if token.is_symbol("("):
            return self._bracket()
        if token.kind in ("number", "string"):
            return self._literal(token)
        if token.word == "INTERVAL":
            return self._interval()
        if token.word == "CAST":
            return self._cast()
        if token.word in ("TRY_CAST", "CASE", "EXISTS", "EXTRACT"):
            return self._as_text()
        behind = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else None
        is_call = behind is not None and behind.is_symbol("(")
        if token.word in ("NULL", "TRUE", "FALSE", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ") and not is_call:
            return self._typed_literal(token, behind)
        if token.name is None or (token.word in _NOT_NAMES and not (is_call and token.word in _CALLS_DESPITE_NAME)):
            raise _UnknownError
        return self._call(token) if is_call else self._column()

    def _bracket(self) -> pb.Expression:
        end = closing(self._tokens, self._at)
        first = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else None
        if end >= len(self._tokens) or first is None or first.word in ("SELECT", "WITH"):
            raise _UnknownError
        self._at += 1
        inner = self._or()
        if self._at != end:
            raise _UnknownError  # a row, or something else
        self._at = end + 1
        return inner

    def _column(self) -> pb.Expression:
        start = self._tokens[self._at].start
        _, behind = identifier(self._tokens, self._at)
        end = self._tokens[behind - 1].end
        following = self._tokens[behind] if behind < len(self._tokens) else None
        if following is not None and (following.text in ("[", ".", "(", "::") or following.kind == "string"):
            raise _UnknownError
        self._at = behind
        if self._text[start:end].upper() in _CALLS_WITHOUT_BRACKETS:
            return call(self._text[start:end].lower())
        attribute = Expression.UnresolvedAttribute(unparsed_identifier=self._text[start:end])
        return Expression(unresolved_attribute=attribute)

    def _call(self, name: Token) -> pb.Expression:
        end = closing(self._tokens, self._at + 1)
        following = self._tokens[end + 1] if end + 1 < len(self._tokens) else None
        filtered = following is not None and following.word == "FILTER" and self._filters
        if end >= len(self._tokens) or (following and following.word in ("OVER", "FILTER", "WITHIN") and not filtered):
            raise _UnknownError
        if following is not None and following.text in ("[", "::"):
            raise _UnknownError
        self._at += 2
        distinct = self._word() == "DISTINCT"
        self._at += distinct
        arguments: list[pb.Expression] = []
        while self._at < end:
            if self._symbol() == "*" and self._tokens[self._at + 1].text in (")", ","):
                self._at += 1
                arguments.append(self._all_columns(name.name or "", alone=self._at == end and not arguments))
            else:
                arguments.append(self._argument(end))
            if self._at < end:
                if self._symbol() != ",":
                    raise _UnknownError
                self._at += 1
        self._at = end + 1
        if filtered:
            arguments = self._filtered(name.text.lower(), arguments)
        return self._fields_of(call(name.text.strip("`"), *arguments, distinct=distinct))

    def _all_columns(self, function: str, *, alone: bool) -> pb.Expression:
        """What `*` means among the arguments of a function: `count(*)` counts rows."""
        if function.lower() == "count":
            if not alone or self._tokens[self._at - 2].word == "DISTINCT":
                raise _UnknownError
            return Expression(literal=Expression.Literal(integer=1))
        return Expression(unresolved_star=Expression.UnresolvedStar())

    def _fields_of(self, struct: pb.Expression) -> pb.Expression:
        """`.field`, behind a call."""
        while self._symbol() == ".":
            self._at += 1
            token = self._token()
            if token is None or token.name is None:
                raise _UnknownError
            self._at += 1
            name = Expression(literal=Expression.Literal(string=token.name))
            field = Expression.UnresolvedExtractValue(child=struct, extraction=name)
            struct = Expression(unresolved_extract_value=field)
        if self._symbol() in ("[", "::", "("):
            raise _UnknownError
        return struct

    def _filtered(self, name: str, arguments: Sequence[pb.Expression]) -> list[pb.Expression]:
        """The arguments with nulls where `FILTER (WHERE condition)`, which is read, does not hold."""
        if name not in _SKIP_NULLS or not self._tokens[self._at + 1].is_symbol("("):
            raise _UnknownError
        end = closing(self._tokens, self._at + 1)
        self._at += 2
        if self._word() != "WHERE":
            raise _UnknownError
        self._at += 1
        condition = self._or()
        if self._at != end:
            raise _UnknownError
        self._at = end + 1
        return [call("if", condition, arguments[0], text_expression("NULL")), *arguments[1:]]

    def _argument(self, end: int) -> pb.Expression:
        """One argument of a call whose closing bracket is at `end`; as text if it is not known."""
        start = self._at
        try:
            expression = self._or()
        except _UnknownError:
            expression = None
        if expression is not None and (self._at == end or self._symbol() == ","):
            return expression
        self._at = start
        while self._at < end and self._symbol() != ",":
            self._at = closing(self._tokens, self._at) + 1 if self._symbol() == "(" else self._at + 1
        return text_expression(self._text[self._tokens[start].start : self._tokens[self._at - 1].end])

    def _literal(self, token: Token) -> pb.Expression:
        self._at += 1
        if token.kind == "string":
            return Expression(literal=Expression.Literal(string=string_value(token)))
        if token.text.isdigit() and (value := int(token.text)) < 1 << 63:
            small = value < 1 << 31
            return Expression(literal=Expression.Literal(integer=value) if small else Expression.Literal(long=value))
        return text_expression(token.text)

    def _typed_literal(self, token: Token, behind: Token | None) -> pb.Expression:
        if token.word in ("TRUE", "FALSE"):
            self._at += 1
            return Expression(literal=Expression.Literal(boolean=token.word == "TRUE"))
        if token.word != "NULL" and behind is not None and behind.kind == "string":
            self._at += 2
            return text_expression(self._text[token.start : behind.end])
        if token.word == "NULL":
            self._at += 1
            return text_expression("NULL")
        return self._column()

    def _interval(self) -> pb.Expression:
        """`INTERVAL 1 HOUR 30 MINUTES`, `INTERVAL '1' DAY`, `INTERVAL '1 hour'`."""
        start = self._tokens[self._at].start
        found, behind = read_interval(self._tokens, self._at + 1)
        if found is None:
            raise _UnknownError
        self._at = behind
        return text_expression(self._text[start : self._tokens[behind - 1].end])

    def _cast(self) -> pb.Expression:
        """`CAST(expression AS type)`."""
        end = closing(self._tokens, self._at + 1)
        start, self._at = self._at, self._at + 2
        try:
            inner = self._or()
        except _UnknownError:
            inner = None
        if inner is None or self._word() != "AS" or not self._at + 1 < end < len(self._tokens):
            self._at = start
            return self._as_text()
        kind = self._text[self._tokens[self._at + 1].start : self._tokens[end].start].strip()
        self._at = end + 1
        return Expression(cast=Expression.Cast(expr=inner, type_str=kind))

    def _as_text(self) -> pb.Expression:
        """A construct with an end of its own: `CASE … END`, `TRY_CAST(…)`, `EXTRACT(…)`."""
        start = self._at
        if self._word() == "CASE":
            depth = 0
            while (token := self._token()) is not None:
                depth += (token.word == "CASE") - (token.word == "END")
                self._at += 1
                if depth == 0:
                    break
        else:
            self._at = closing(self._tokens, self._at + 1) + 1
        if self._at > len(self._tokens):
            raise _UnknownError
        return text_expression(self._text[self._tokens[start].start : self._tokens[self._at - 1].end])

    def _token(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _word(self) -> str:
        token = self._token()
        return token.word if token else ""

    def _symbol(self) -> str:
        token = self._token()
        return token.text if token and token.kind == "symbol" else ""


def conjuncts(condition: pb.Expression) -> Sequence[pb.Expression]:
    """The conditions that `condition` joins by AND, in order, read from text where they are text."""
    condition = structured(condition)
    function = condition.unresolved_function
    if condition.HasField("unresolved_function") and function.function_name.lower() == "and":
        return [part for argument in function.arguments for part in conjuncts(argument)]
    return [condition]
