// libfastrpc for C++20: the C API (fastrpc.h) with owners that clean up, and spans instead of pointers.
//
// Nothing throws but std::bad_alloc. Whatever can fail returns an Error, which is true when it failed:
//   fastrpc::client::Session session;
//   if (auto error = session.open({.domain = "cdsp", .directories = {"/usr/lib/dsp"}})) die(error.text());
// Callbacks and handlers are functions that run on threads of the library: what fastrpc.h says of them holds, and an
// exception that leaves one ends the program.
#pragma once

#include "fastrpc.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fastrpc::client {

/// Why something failed; false when it did not.
class [[nodiscard]] Error {
public:
    Error() noexcept { raw_.code = 0, raw_.name[0] = '\0', raw_.text[0] = '\0'; }
    explicit Error(const fastrpc_error& raw) noexcept : raw_(raw) {}
    explicit operator bool() const noexcept { return raw_.code != 0; }
    [[nodiscard]] int code() const noexcept { return raw_.code; }
    [[nodiscard]] const char* name() const noexcept { return raw_.name; }
    [[nodiscard]] const char* text() const noexcept { return raw_.text; }
    fastrpc_error* raw() noexcept { return &raw_; }

private:
    fastrpc_error raw_;
};

/// fastrpc_open_options, with the same defaults.
struct Options {
    std::string domain = "cdsp";
    std::string pd = "unsigned";
    std::vector<std::string> directories = {};
    std::vector<int> directory_fds = {};
    std::string label = {};
    std::uint32_t deadline_ms = 0;
    std::uint32_t lanes = 0;
    std::uint64_t memory = 0;
    std::string bus_address = {};
    std::uint32_t wait_ms = 0;
    std::uint32_t priority = 0;
    std::uint32_t stack = 0;
    std::vector<std::string> modules = {};
    std::vector<std::pair<std::string, int>> module_files = {}; ///< name and fd
    std::vector<std::string> attributes = {};
};

class Buffer {
public:
    Buffer() noexcept = default;
    Buffer(Buffer&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~Buffer() { fastrpc_buffer_free(raw_); }

    [[nodiscard]] std::span<std::byte> bytes() const noexcept {
        return {static_cast<std::byte*>(fastrpc_buffer_data(raw_)), fastrpc_buffer_size(raw_)};
    }
    [[nodiscard]] int fd() const noexcept { return fastrpc_buffer_fd(raw_); }
    /// `size` bytes from `offset` as an argument, input or output.
    [[nodiscard]] fastrpc_arg argument(std::size_t offset, std::size_t size) const noexcept {
        return {nullptr, size, raw_, offset};
    }
    [[nodiscard]] fastrpc_arg argument() const noexcept { return argument(0, fastrpc_buffer_size(raw_)); }

    /// Makes the first `length` bytes (0: all) known to the DSP; `mode` is one of FASTRPC_MAP_....
    Error map(std::uint32_t mode, std::size_t length, std::uint64_t& dsp_address) const {
        Error error;
        fastrpc_buffer_map(raw_, mode, length, &dsp_address, error.raw());
        return error;
    }
    Error unmap() const {
        Error error;
        fastrpc_buffer_unmap(raw_, error.raw());
        return error;
    }
    /// Bracket this program's own use of bytes(): FASTRPC_READ, FASTRPC_WRITE or both.
    Error begin(std::uint32_t access) const {
        Error error;
        fastrpc_buffer_begin(raw_, access, error.raw());
        return error;
    }
    Error end(std::uint32_t access) const {
        Error error;
        fastrpc_buffer_end(raw_, access, error.raw());
        return error;
    }

private:
    friend class Session;
    fastrpc_buffer* raw_ = nullptr;
};

/// A contiguous range or a trivially copyable value as an inline argument; it must outlive the call.
template<class T>
fastrpc_arg argument(T& value) noexcept {
    using Plain = std::remove_cv_t<T>;
    if constexpr (requires {
                      value.data();
                      value.size();
                  }) {
        auto bytes = std::as_bytes(std::span(value));
        return {const_cast<std::byte*>(bytes.data()), bytes.size(), nullptr, 0};
    } else {
        static_assert(std::is_trivially_copyable_v<Plain>);
        return {const_cast<Plain*>(&value), sizeof value, nullptr, 0};
    }
}

/// A call under way. What its arguments point at belongs to the call until it is complete; the destructor waits for
/// that.
class Job {
public:
    Job() noexcept = default;
    Job(Job&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    Job& operator=(Job&& other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~Job() { fastrpc_job_free(raw_); }

    /// Waits at most `timeout_ms`, -1 for ever. FASTRPC_EEXPIRED: it is not complete. Else `call` says what
    /// Module::invoke would have returned.
    Error wait(int timeout_ms, Error& call) const {
        Error error;
        fastrpc_error of_call;
        // One struct for both: which of the two it tells of is in the code.
        if (fastrpc_job_wait(raw_, timeout_ms, nullptr, &of_call) == 0)
            call = Error(of_call);
        else
            error = Error(of_call);
        return error;
    }
    /// Polls readable from the completion on.
    Error fd(int& fd) const {
        Error error;
        fastrpc_job_fd(raw_, &fd, error.raw());
        return error;
    }

private:
    friend class Module;
    fastrpc_job* raw_ = nullptr;
};

class Module {
public:
    Module() noexcept = default;
    Module(Module&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    Module& operator=(Module&& other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~Module() { fastrpc_module_close(raw_); }

    /// Method 0..30 with its inputs and outputs, at most 255 each.
    Error invoke(unsigned method, std::span<const fastrpc_arg> in, std::span<const fastrpc_arg> out) const {
        return invoke(method, in, out, {}, {});
    }
    /// With handles, at most 15 each, which are arguments of buffers.
    Error invoke(unsigned method, std::span<const fastrpc_arg> in, std::span<const fastrpc_arg> out,
                 std::span<const fastrpc_arg> in_handles, std::span<const fastrpc_arg> out_handles) const {
        Error error;
        std::array<fastrpc_arg, 16> few;
        std::vector<fastrpc_arg> many;
        fastrpc_arg* all = few.data();
        const std::size_t count = in.size() + out.size() + in_handles.size() + out_handles.size();
        if (count > few.size()) {
            many.resize(count);
            all = many.data();
        }
        fastrpc_arg* at = all;
        for (const auto& part : {in, out, in_handles, out_handles}) at = std::copy(part.begin(), part.end(), at);
        // The C function refuses counts that the scalars can't say, because they then differ.
        fastrpc_invoke(raw_,
                       FASTRPC_SCALARS_HANDLES(method, in.size(), out.size(), in_handles.size(), out_handles.size()),
                       all, count, error.raw());
        return error;
    }
    /// Starts a call.
    Error invoke_async(unsigned method, std::span<const fastrpc_arg> in, std::span<const fastrpc_arg> out,
                       Job& job) const {
        return start(method, in, out, nullptr, nullptr, job);
    }
    /// Starts a call, and has `done` called at its end with what invoke() would have returned.
    Error invoke_async(unsigned method, std::span<const fastrpc_arg> in, std::span<const fastrpc_arg> out,
                       std::function<void(const Error&)> done, Job& job) const {
        auto context = std::make_unique<std::function<void(const Error&)>>(std::move(done));
        Error error = start(
            method, in, out,
            [](void* raw, int, const fastrpc_error* of_call) {
                const std::unique_ptr<std::function<void(const Error&)>> function(
                    static_cast<std::function<void(const Error&)>*>(raw));
                (*function)(Error(*of_call));
            },
            context.get(), job);
        if (!error) (void)context.release(); // the callback's
        return error;
    }
    Error invoke(unsigned method, std::initializer_list<fastrpc_arg> in, std::initializer_list<fastrpc_arg> out) const {
        return invoke(method, std::span(in.begin(), in.size()), std::span(out.begin(), out.size()));
    }

private:
    friend class Session;
    Error start(unsigned method, std::span<const fastrpc_arg> in, std::span<const fastrpc_arg> out,
                fastrpc_callback callback, void* context, Job& job) const {
        std::vector<fastrpc_arg> all(in.begin(), in.end());
        all.insert(all.end(), out.begin(), out.end());
        Error error;
        Job started;
        if (fastrpc_invoke_async(raw_, FASTRPC_SCALARS(method, in.size(), out.size()), all.data(), all.size(), callback,
                                 context, &started.raw_, error.raw()) == 0)
            job = std::move(started);
        return error;
    }
    fastrpc_module* raw_ = nullptr;
};

/// An interface of this program that the DSP calls; stopped by the destructor, which must not run in its own handler.
class Service {
public:
    /// Returns 0 or an AEE code for the DSP.
    using Handler = std::function<int(const fastrpc_reverse_call&)>;

    Service() noexcept = default;
    Service(Service&&) noexcept = default;
    Service& operator=(Service&& other) noexcept {
        std::swap(handler_, other.handler_);
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~Service() { stop(); }
    /// As fastrpc_serve_stop.
    int stop() noexcept { return fastrpc_serve_stop(raw_.release()); }

private:
    friend class Session;
    struct Keep {
        void operator()(fastrpc_service*) const noexcept {} // stop() does
    };
    std::unique_ptr<Handler> handler_;
    std::unique_ptr<fastrpc_service, Keep> raw_;
};

class Session {
public:
    Session() noexcept = default;
    /// Takes over a session that C functions opened.
    explicit Session(fastrpc_session* owned) noexcept : raw_(owned) {}
    Session(Session&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    Session& operator=(Session&& other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    /// Not in a callback or handler of this session: it would leave the session open.
    ~Session() { close(); }

    /// Opens; a session that was open before is closed.
    Error open(const Options& options) {
        close();
        std::vector<const char*> directories;
        for (const std::string& directory : options.directories) directories.push_back(directory.c_str());
        std::vector<const char*> modules, attributes;
        for (const std::string& name : options.modules) modules.push_back(name.c_str());
        for (const std::string& name : options.attributes) attributes.push_back(name.c_str());
        std::vector<fastrpc_module_file> files;
        for (const auto& [name, fd] : options.module_files) files.push_back({name.c_str(), fd});
        fastrpc_open_options raw{};
        raw.domain = options.domain.c_str();
        raw.pd = options.pd.c_str();
        raw.directories = directories.data();
        raw.directory_count = directories.size();
        raw.directory_fds = options.directory_fds.data();
        raw.directory_fd_count = options.directory_fds.size();
        raw.label = options.label.empty() ? nullptr : options.label.c_str();
        raw.deadline_ms = options.deadline_ms;
        raw.lanes = options.lanes;
        raw.memory = options.memory;
        raw.wait_ms = options.wait_ms;
        raw.priority = options.priority;
        raw.stack = options.stack;
        raw.modules = modules.data();
        raw.module_count = modules.size();
        raw.module_files = files.data();
        raw.module_file_count = files.size();
        raw.attributes = attributes.data();
        raw.attribute_count = attributes.size();
        raw.bus_address = options.bus_address.empty() ? nullptr : options.bus_address.c_str();
        Error error;
        fastrpc_session_open(&raw, &raw_, error.raw());
        return error;
    }
    /// 0, or FASTRPC_EBADSTATE in a callback or handler of this session, which then stays open.
    int close() noexcept {
        const int code = fastrpc_session_close(raw_);
        if (code == 0) raw_ = nullptr;
        return code;
    }
    explicit operator bool() const noexcept { return raw_ != nullptr; }

    // Of an open session.
    [[nodiscard]] const char* path() const noexcept { return fastrpc_session_path(raw_); }
    [[nodiscard]] const char* id() const noexcept { return fastrpc_session_id(raw_); }
    [[nodiscard]] const fastrpc_grant& grant() const noexcept { return *fastrpc_session_grant(raw_); }
    Error usage(fastrpc_usage& usage) const {
        Error error;
        fastrpc_session_usage(raw_, &usage, error.raw());
        return error;
    }

    /// A fd that polls readable when next_event() has something to say.
    Error events(int& fd) const {
        Error error;
        fastrpc_session_events(raw_, &fd, error.raw());
        return error;
    }
    /// Waits at most `timeout_ms`, -1 for ever; FASTRPC_EEXPIRED: there was none.
    Error next_event(int timeout_ms, fastrpc_event& event) const {
        Error error;
        fastrpc_session_next_event(raw_, timeout_ms, &event, error.raw());
        return error;
    }
    /// FASTRPC_LOST_..., or -1 while the session is not over.
    [[nodiscard]] int lost_reason() const noexcept { return fastrpc_session_lost_reason(raw_); }

    /// Serves the interface `name` to the session's DSP code until `service` goes.
    Error serve(const std::string& name, Service::Handler handler, Service& service) const {
        Error error;
        Service fresh;
        fresh.handler_ = std::make_unique<Service::Handler>(std::move(handler));
        fastrpc_service* raw = nullptr;
        fastrpc_serve(
            raw_, name.c_str(),
            [](const fastrpc_reverse_call* call, void* context) {
                return (*static_cast<Service::Handler*>(context))(*call);
            },
            fresh.handler_.get(), &raw, error.raw());
        fresh.raw_.reset(raw);
        if (!error) service = std::move(fresh);
        return error;
    }

    /// Opens the interface `interface` of the shared object `library`, e.g. "libfoo_skel.so" and "foo".
    Error open_module(const std::string& library, const std::string& interface, Module& module) const {
        std::array<char, 1024> uri{};
        Error error;
        if (fastrpc_module_uri(raw_, library.c_str(), interface.c_str(), uri.data(), uri.size(), error.raw()) == 0)
            return open_module(uri.data(), module);
        return error;
    }
    Error open_module(const char* uri, Module& module) const {
        Error error;
        Module opened;
        if (fastrpc_module_open(raw_, uri, &opened.raw_, error.raw()) == 0) module = std::move(opened);
        return error;
    }
    Error allocate(std::size_t size, Buffer& buffer) const {
        Error error;
        Buffer fresh;
        if (fastrpc_buffer_alloc(raw_, size, &fresh.raw_, error.raw()) == 0) buffer = std::move(fresh);
        return error;
    }
    Error register_buffer(int fd, std::size_t size, Buffer& buffer) const {
        Error error;
        Buffer fresh;
        if (fastrpc_buffer_register(raw_, fd, size, &fresh.raw_, error.raw()) == 0) buffer = std::move(fresh);
        return error;
    }

private:
    fastrpc_session* raw_ = nullptr;
};

} // namespace fastrpc::client
