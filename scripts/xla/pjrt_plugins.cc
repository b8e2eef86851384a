// The registry of PJRT plugins (CUDA, TPU ...). libtensorflow_cc exports everything that the xla crate needs except
// these functions of xla/pjrt/pjrt_api.h.
#include "xla/pjrt/pjrt_api.h"

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "xla/pjrt/c/pjrt_c_api.h"

namespace pjrt {
namespace {

struct Plugin {
  const PJRT_Api* api;
  bool initialized;
};

std::mutex registry_mutex;

// Lower-case device type -> plugin. Never destroyed: clients may outlive static destruction.
std::map<std::string, Plugin>& Registry() {
  static auto* registry = new std::map<std::string, Plugin>();
  return *registry;
}

absl::StatusOr<Plugin*> Find(absl::string_view device_type) {
  auto found = Registry().find(absl::AsciiStrToLower(device_type));
  if (found == Registry().end()) {
    return absl::NotFoundError(absl::StrCat("no PJRT plugin is loaded for ", device_type));
  }
  return &found->second;
}

// Takes the message out of an error that the plugin made, and frees it.
absl::Status ToStatus(const PJRT_Api* api, PJRT_Error* error) {
  if (error == nullptr) return absl::OkStatus();
  PJRT_Error_Message_Args message{};
  message.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE;
  message.error = error;
  api->PJRT_Error_Message(&message);
  absl::Status status = absl::InternalError(absl::string_view(message.message, message.message_size));
  PJRT_Error_Destroy_Args destroy{};
  destroy.struct_size = PJRT_Error_Destroy_Args_STRUCT_SIZE;
  destroy.error = error;
  api->PJRT_Error_Destroy(&destroy);
  return status;
}

}  // namespace

absl::StatusOr<const PJRT_Api*> PjrtApi(absl::string_view device_type) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  auto plugin = Find(device_type);
  if (!plugin.ok()) return plugin.status();
  return (*plugin)->api;
}

absl::StatusOr<std::vector<std::string>> GetRegisteredPjrtApis() {
  std::lock_guard<std::mutex> lock(registry_mutex);
  std::vector<std::string> names;
  for (const auto& entry : Registry()) names.push_back(entry.first);
  return names;
}

absl::Status SetPjrtApi(absl::string_view device_type, const PJRT_Api* api) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  if (!Registry().insert({absl::AsciiStrToLower(device_type), Plugin{api, false}}).second) {
    return absl::AlreadyExistsError(absl::StrCat("a PJRT plugin is already loaded for ", device_type));
  }
  return absl::OkStatus();
}

absl::StatusOr<const PJRT_Api*> LoadPjrtPlugin(absl::string_view device_type, absl::string_view library_path) {
  const std::string path(library_path);
  void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) return absl::NotFoundError(dlerror());
  auto get_api = reinterpret_cast<const PJRT_Api* (*)()>(dlsym(library, "GetPjrtApi"));
  if (get_api == nullptr) {
    return absl::NotFoundError(absl::StrCat(path, " is not a PJRT plugin: it exports no GetPjrtApi"));
  }
  const PJRT_Api* api = get_api();
  if (api == nullptr) return absl::InternalError(absl::StrCat("GetPjrtApi of ", path, " returned nothing"));
  absl::Status set = SetPjrtApi(device_type, api);
  if (!set.ok()) return set;
  return api;
}

absl::StatusOr<bool> IsPjrtPluginInitialized(absl::string_view device_type) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  auto plugin = Find(device_type);
  if (!plugin.ok()) return plugin.status();
  return (*plugin)->initialized;
}

absl::Status InitializePjrtPlugin(absl::string_view device_type) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  auto found = Find(device_type);
  if (!found.ok()) return found.status();
  Plugin* plugin = *found;
  if (plugin->initialized) return absl::OkStatus();
  PJRT_Plugin_Initialize_Args args{};
  args.struct_size = PJRT_Plugin_Initialize_Args_STRUCT_SIZE;
  absl::Status status = ToStatus(plugin->api, plugin->api->PJRT_Plugin_Initialize(&args));
  plugin->initialized = status.ok();
  return status;
}

}  // namespace pjrt
