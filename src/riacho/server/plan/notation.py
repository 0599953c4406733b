"""The expressions that the table of functions makes, as SQL text."""

from __future__ import annotations

from riacho import types
from riacho.protos import pb
from riacho.server.sql.tokens import string_literal
from riacho.server.sql.words import words

Expression = pb.Expression

_INFIX = {"==": "="} | {name: name for name in words("+ - * / % div = != <> < <= > >= <=> & | ^ and or")}


def sql(expression: Expression) -> str:
    """The text of an expression that is made of calls, casts, literals, lambdas, and pieces of text.

    Raises AssertionError for one of another kind, UNSUPPORTED_DATATYPE.
    """
    match expression.WhichOneof("expr_type"):
        case "expression_string":
            return expression.expression_string.expression
        case "literal":
            return _literal(expression.literal)
        case "cast":
            cast = expression.cast
            kind = cast.type_str or types.type_to_ddl(types.from_proto(cast.type))
            is_try = cast.eval_mode == Expression.Cast.EVAL_MODE_TRY
            return f"{'TRY_CAST' if is_try else 'CAST'}({sql(cast.expr)} AS {kind})"
        case "unresolved_named_lambda_variable":
            return ".".join(expression.unresolved_named_lambda_variable.name_parts)
        case "lambda_function":
            names = ", ".join(".".join(variable.name_parts) for variable in expression.lambda_function.arguments)
            return f"{names} -> {sql(expression.lambda_function.function)}"
        case "unresolved_function":
            function = expression.unresolved_function
            arguments = [sql(argument) for argument in function.arguments]
            infix = _INFIX.get(function.function_name)
            if infix is not None and len(arguments) > 1:
                return "(" + f" {infix} ".join(arguments) + ")"
            match function.function_name:
                case "in":
                    return f"({arguments[0]} IN ({', '.join(arguments[1:])}))"
                case "between":
                    return f"({arguments[0]} BETWEEN {arguments[1]} AND {arguments[2]})"
                case "not":
                    return f"(NOT {arguments[0]})"
                case "when":
                    return _case(arguments)
            return f"{function.function_name}({', '.join(arguments)})"
        case other:
            raise AssertionError(f"the table of functions makes no {other}")


def _case(arguments: list[str]) -> str:
    """Condition, value, condition, value, …, the value of ELSE, if there is one."""
    pairs = zip(arguments[::2], arguments[1::2], strict=False)
    cases = "".join(f" WHEN {condition} THEN {value}" for condition, value in pairs)
    return f"CASE{cases}{f' ELSE {arguments[-1]}' if len(arguments) % 2 else ''} END"


def _literal(literal: Expression.Literal) -> str:
    match literal.WhichOneof("literal_type"):
        case "null":
            return "NULL"
        case "string":
            return string_literal(literal.string)
        case "boolean":
            return str(literal.boolean).lower()
        case "long":
            return f"{literal.long}L"
        case "double":
            return f"{literal.double!r}D"
        case _:
            return str(literal.integer)
