// libfastrpc for C++20: the C API (fastrpc.h) with owners that clean up, and spans instead of pointers.
//
// Nothing throws but std::bad_alloc. Whatever can fail returns an Error, which is true when it failed:
//   fastrpc::client::Session session;
//   if (auto error = session.open({.domain = "cdsp", .directories = {"/usr/lib/dsp"}})) die(error.text());
#pragma once

#include "fastrpc.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
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
        Error error;
        std::array<fastrpc_arg, 16> few;
        std::vector<fastrpc_arg> many;
        fastrpc_arg* all = few.data();
        if (in.size() + out.size() > few.size()) {
            many.resize(in.size() + out.size());
            all = many.data();
        }
        std::copy(out.begin(), out.end(), std::copy(in.begin(), in.end(), all));
        // The C function refuses counts that the scalars can't say, because they then differ.
        fastrpc_invoke(raw_, FASTRPC_SCALARS(method, in.size(), out.size()), all, in.size() + out.size(), error.raw());
        return error;
    }
    Error invoke(unsigned method, std::initializer_list<fastrpc_arg> in, std::initializer_list<fastrpc_arg> out) const {
        return invoke(method, std::span(in.begin(), in.size()), std::span(out.begin(), out.size()));
    }

private:
    friend class Session;
    fastrpc_module* raw_ = nullptr;
};

class Session {
public:
    Session() noexcept = default;
    Session(Session&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    Session& operator=(Session&& other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~Session() { close(); }

    /// Opens; a session that was open before is closed.
    Error open(const Options& options) {
        close();
        std::vector<const char*> directories;
        for (const std::string& directory : options.directories) directories.push_back(directory.c_str());
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
        raw.bus_address = options.bus_address.empty() ? nullptr : options.bus_address.c_str();
        Error error;
        fastrpc_session_open(&raw, &raw_, error.raw());
        return error;
    }
    void close() noexcept { fastrpc_session_close(std::exchange(raw_, nullptr)); }
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
