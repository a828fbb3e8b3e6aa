"""What the engine does by the standard only; loaded when the first session goes by it"""

from ..policy.standard.freshening import Relation, freshen, relation
from ..policy.standard.presentation import present
from .partial_acts import forget_parts, in_ranges, key_to_write, prepare_refresh, record_part, stored_for_ranges
from .reporting import report
from .strict_acts import as_get, freshen_by_head, invalidate, look_up_for_head, prepare

__all__ = [
    'Relation',
    'as_get',
    'forget_parts',
    'freshen',
    'freshen_by_head',
    'in_ranges',
    'invalidate',
    'key_to_write',
    'look_up_for_head',
    'prepare',
    'prepare_refresh',
    'present',
    'record_part',
    'relation',
    'report',
    'stored_for_ranges',
]
