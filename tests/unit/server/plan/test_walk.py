"""`walk`, `transform` and their kin: what they visit, and that they leave plans as they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riacho.protos import pb
from riacho.server.plan.walk import at, children, expressions, transform, walk, walk_paths
from tests.unit.counting import calls


def read(name: str, *, streaming: bool = False) -> pb.Relation:
    return pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier=name), is_streaming=streaming))


def column(name: str) -> pb.Expression:
    return pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier=name))


def call(name: str, *arguments: pb.Expression) -> pb.Expression:
    function = pb.Expression.UnresolvedFunction(function_name=name, arguments=arguments)
    return pb.Expression(unresolved_function=function)


def filtered(relation: pb.Relation) -> pb.Relation:
    return pb.Relation(filter=pb.Filter(input=relation, condition=call("isnotnull", column("a"))))


def joined(left: pb.Relation, right: pb.Relation) -> pb.Relation:
    return pb.Relation(join=pb.Join(left=left, right=right, join_type=pb.Join.JOIN_TYPE_INNER))


def with_references(root: pb.Relation, references: list[pb.Relation]) -> pb.Relation:
    return pb.Relation(with_relations=pb.WithRelations(root=root, references=references))


RELATIONS = st.recursive(
    st.builds(read, st.sampled_from("abc"), streaming=st.booleans()),
    lambda below: (
        st.builds(filtered, below)
        | st.builds(joined, below, below)
        | st.builds(with_references, below, st.lists(below, max_size=3))
    ),
    max_leaves=12,
)


def table_names(relation: pb.Relation) -> list[str]:
    return [n.read.named_table.unparsed_identifier for n in walk(relation) if n.WhichOneof("rel_type") == "read"]


def test_walk_visits_parents_first_and_left_before_right() -> None:
    plan = with_references(joined(read("a"), filtered(read("b"))), [read("c")])
    kinds = [node.WhichOneof("rel_type") for node in walk(plan)]
    assert kinds == ["with_relations", "join", "read", "filter", "read", "read"]
    assert table_names(plan) == ["a", "b", "c"]


def test_children_of_a_command_are_the_relations_it_writes() -> None:
    command = pb.Command(write_stream_operation_start=pb.WriteStreamOperationStart(input=read("a")))
    assert [child.read.named_table.unparsed_identifier for child in children(command)] == ["a"]


def test_expressions_are_those_of_the_node_alone() -> None:
    plan = filtered(filtered(read("a")))
    kinds = [expression.WhichOneof("expr_type") for expression in expressions(plan)]
    assert kinds == ["unresolved_function", "unresolved_attribute"]


@given(RELATIONS)
def test_transform_that_changes_nothing_gives_an_equal_plan(plan: pb.Relation) -> None:
    before = plan.SerializeToString(deterministic=True)
    assert transform(plan, lambda node: node) == plan
    assert plan.SerializeToString(deterministic=True) == before


@given(RELATIONS)
def test_transform_applies_once_to_each_node_children_first(plan: pb.Relation) -> None:
    seen: list[int] = []

    def count(node: pb.Relation) -> pb.Relation:
        seen.append(1 + sum(1 for _ in walk(node)))
        return node

    transform(plan, count)
    assert len(seen) == sum(1 for _ in walk(plan))
    assert seen[-1] == max(seen)


@given(RELATIONS)
def test_wrapping_and_unwrapping_are_inverse(plan: pb.Relation) -> None:
    def wrap(node: pb.Relation) -> pb.Relation:
        return pb.Relation(subquery_alias=pb.SubqueryAlias(input=node, alias="w"))

    def unwrap(node: pb.Relation) -> pb.Relation:
        return node.subquery_alias.input if node.WhichOneof("rel_type") == "subquery_alias" else node

    wrapped = transform(plan, wrap)
    assert sum(1 for _ in walk(wrapped)) == 2 * sum(1 for _ in walk(plan))
    assert transform(wrapped, unwrap) == plan


@given(RELATIONS)
def test_every_path_leads_back_to_its_node(plan: pb.Relation) -> None:
    for path, node in walk_paths(plan):
        assert at(plan, path) == node


def test_a_plan_of_thousands_of_nodes_is_walked_and_copied() -> None:
    plan = read("a")
    for _ in range(3000):
        above = pb.Relation()
        above.filter.input.CopyFrom(plan)
        plan = above
    assert sum(1 for _ in walk(transform(plan, lambda node: node))) == 3001


def test_a_walk_costs_as_much_for_each_node() -> None:
    def cost(nodes: int) -> int:
        plan = read("a")
        for _ in range(nodes):
            plan = filtered(plan)
        list(walk(plan))  # what is remembered of kinds of nodes is remembered
        return calls(lambda: list(walk(plan)))

    assert (cost(200) - cost(100)) / 100 < 30
    assert cost(200) - cost(100) == cost(300) - cost(200)


def test_a_deep_plan_from_the_wire_is_decoded() -> None:
    plan = read("a")
    for _ in range(500):
        above = pb.Relation()
        above.with_columns.input.CopyFrom(plan)
        plan = above
    assert pb.Relation.FromString(plan.SerializeToString()) == plan
