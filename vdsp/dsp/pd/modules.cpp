#include "vdsp/dsp/pd/modules.hpp"

#include "ipc/aee.hpp"
#include "vdsp/dsp/sha256.hpp"

#include <array>
#include <fmt/core.h>

namespace fastrpc::vdsp {
namespace {

constexpr int invalid_domain = 0x39; // AEE_EINVALIDDOMAIN
constexpr int bad_version = 0x4;     // AEE_EVERSIONNOTSUPPORT
constexpr unsigned open_method = 0, close_method = 1;
constexpr std::uint32_t last_handle = 0x7FFFFFFF;

std::unexpected<LoadFailure> failure(std::int32_t code, std::string text) {
    return std::unexpected(LoadFailure{code, std::move(text)});
}

// The client's own code runs here: in its PD, on its thread.
int open_instance(OpenModule& module, std::string uri) {
    auto length = static_cast<std::uint32_t>(uri.size() + 1);
    std::array<fastrpc_skel_arg, 3> arguments{};
    arguments[0].buffer = {&length, sizeof length};
    arguments[1].buffer = {uri.data(), length};
    const int result = module.entry(0, Scalars::make(open_method, 2, 0, 0, 1).word, arguments.data());
    module.handle = arguments[2].handle;
    return result;
}

int close_instance(const OpenModule& module) {
    fastrpc_skel_arg argument{};
    argument.handle = module.handle;
    return module.entry(module.handle, Scalars::make(close_method, 0, 0, 1, 0).word, &argument);
}

} // namespace

LoadResult<std::shared_ptr<OpenModule>> Modules::built_in(const ModuleUri& uri) {
    for (const std::string_view name : {"adsp_default_listener", "adsp_default_listener1"}) {
        if (uri.bare ? uri.file != name : uri.file != fmt::format("lib{}_skel.so", name)) continue;
        auto module = std::make_shared<OpenModule>();
        module->name = name;
        return module;
    }
    return failure(aee::on_dsp(aee::no_such_mod), fmt::format("{} is not built into this image", uri.file));
}

LoadResult<std::shared_ptr<Library>> Modules::library(const ModuleUri& uri, const std::string& text) {
    if (auto known = libraries_[uri.file].lock()) return known;
    if (!probed_) {
        // Firmware looks for a configuration first; that there is none is normal, and nobody is told.
        const auto config = files_.open("oemconfig.so");
        if (config && !files_.close(*config)) return failure(aee::loader_failed, "cannot close oemconfig.so");
        probed_ = config || config.error().kind != HostFailure::Kind::unheard;
    }
    auto file = fetch_module(files_, uri.file);
    if (!file) return std::unexpected(std::move(file.error()));
    auto loaded = Library::load(uri.file, file->bytes);
    if (!loaded) return loaded;
    libraries_[uri.file] = *loaded;
    report_({text, uri.file, sha256(file->bytes), file->bytes.size(), file->reads});
    return loaded;
}

LoadResult<std::shared_ptr<OpenModule>> Modules::load(const ModuleUri& uri, const std::string& text) {
    if (uri.version != "1.0")
        return failure(aee::on_dsp(bad_version), fmt::format("{}: only _modver=1.0 is supported", uri.file));
    auto loaded = library(uri, text);
    if (!loaded) return std::unexpected(std::move(loaded.error()));
    auto module = std::make_shared<OpenModule>();
    module->library = std::move(*loaded);
    module->entry = reinterpret_cast<fastrpc_skel_invoke>(module->library->symbol(uri.symbol));
    if (module->entry == nullptr)
        return failure(aee::on_dsp(aee::no_such_symbol), fmt::format("{} has no symbol {}", uri.file, uri.symbol));
    if (const int result = open_instance(*module, text))
        return failure(result, fmt::format("{} refused to open: {}", uri.symbol, aee::describe(result)));
    return module;
}

LoadResult<std::uint32_t> Modules::open(const std::string& text) {
    const auto uri = parse_module_uri(text);
    if (!uri) return failure(aee::on_dsp(aee::bad_parm), fmt::format("{} is no module URI", text));
    if (!uri->domain.empty() && uri->domain != to_string(domain_))
        return failure(aee::on_dsp(invalid_domain),
                       fmt::format("{} is for {}, this is {}", uri->file, uri->domain, to_string(domain_)));
    // Without the loader: the listener that it may be waiting for is itself a built-in module.
    auto module = built_in(*uri);
    if (!module && is_user_ && !uri->bare) {
        const std::lock_guard loading(loading_);
        module = load(*uri, text);
    }
    if (!module) return std::unexpected(std::move(module.error()));
    const std::lock_guard lock(mutex_);
    while (open_.contains(next_)) next_ = next_ == last_handle ? first_module_handle : next_ + 1;
    const std::uint32_t handle = next_;
    next_ = next_ == last_handle ? first_module_handle : next_ + 1;
    open_.emplace(handle, std::move(*module));
    return handle;
}

LoadResult<void> Modules::close(std::uint32_t handle) {
    std::shared_ptr<OpenModule> module;
    {
        const std::lock_guard lock(mutex_);
        const auto found = open_.find(handle);
        if (found == open_.end()) return failure(aee::no_such, fmt::format("no module is open as {}", handle));
        module = std::move(found->second);
        open_.erase(found);
    }
    if (!module->library) return {};
    const std::lock_guard loading(loading_); // a library must not be loaded while it is unloaded
    if (const int result = close_instance(*module))
        return failure(result, fmt::format("the module failed to close: {}", aee::describe(result)));
    module.reset();
    return {};
}

std::shared_ptr<OpenModule> Modules::find(std::uint32_t handle) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(handle);
    return found == open_.end() ? nullptr : found->second;
}

} // namespace fastrpc::vdsp
