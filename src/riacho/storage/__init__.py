"""Local disks and object storage behind one interface.

A *place* is a `pathlib.Path` or an `ObjectPath` (`s3a://bucket/key`), which has the methods of the former that riacho
uses. `place_of` gives the place that a text names. What must be atomic, or is done otherwise on each, is a function of
`files`: `create_new`, `replace`, `delete_tree`, `move`, `upload`, `open_input`.

Credentials are the caller's: `settings.using` says whose they are on this thread, and a place that is made keeps them.
"""

from riacho.storage.files import create_new, delete_tree, move, open_input, replace, upload
from riacho.storage.folders import Folder, Stamp, folder_of
from riacho.storage.names import (
    delta_place,
    is_object,
    matching,
    on_disk,
    one_name,
    place_at,
    place_of,
    rebound,
    relative,
)
from riacho.storage.places import ObjectEntry, ObjectPath, Place
from riacho.storage.settings import (
    NO_SETTINGS,
    StorageSettings,
    carried,
    current,
    is_storage_key,
    of_session,
    serve_with,
    use,
    using,
)

__all__ = [
    "NO_SETTINGS",
    "Folder",
    "ObjectEntry",
    "ObjectPath",
    "Place",
    "Stamp",
    "StorageSettings",
    "carried",
    "create_new",
    "current",
    "delete_tree",
    "delta_place",
    "folder_of",
    "is_object",
    "is_storage_key",
    "matching",
    "move",
    "of_session",
    "on_disk",
    "one_name",
    "open_input",
    "place_at",
    "place_of",
    "rebound",
    "relative",
    "replace",
    "serve_with",
    "upload",
    "use",
    "using",
]
