#include "file_kind.hpp"

#include "pannier/base/bytes.hpp"

#include "files.hpp"
#include "reader.hpp"

#include <exception>

namespace pannier::config {
namespace {

void read_all(const FileKind& kind,
              std::string_view yaml,
              const Surroundings& around,
              Draft& draft) {
  if (yaml.size() > kMaxFile) {
    draft.faults->error({}, "", "is larger than " + base::human_bytes(kMaxFile));
    return;
  }
  Value root;
  if (!parse_document(yaml, root, *draft.faults)) {
    return;
  }
  Reader(*kind.keys, draft, around.environment, *around.directory).read(root);
  if (root.kind == Value::Kind::Map) {
    kind.finish(draft, root, around);
  }
}

}  // namespace

void read_as(const FileKind& kind,
             std::string_view yaml,
             const Surroundings& around,
             Draft& draft) {
  try {
    read_all(kind, yaml, around, draft);
  } catch (const std::exception& error) {
    draft.faults->error({}, "", std::string("cannot be read: ") + error.what());
  }
}

}  // namespace pannier::config
