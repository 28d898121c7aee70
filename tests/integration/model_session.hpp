// What one session promises about its lanes, buffers, modules and calls, as a few sums: one half of the reference for
// random runs.
//
// Each operation says what its answer must be, as raw_client.hpp words it ("ok", "quota", "busy", ...). On "ok" the
// session has changed as the real one must have changed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace fastrpc::test {

struct ModelGrant {
    unsigned lanes = 0;
    std::uint64_t memory = 0;
    unsigned buffers = 0;
    unsigned priority = 0, stack = 0; ///< of DSP threads; 0 = the firmware's choice
    bool handles = true;              ///< may be arguments of calls (KERNEL 1.11.5)
};

class ModelSession {
public:
    static constexpr std::uint64_t page = 4096;
    static std::uint64_t rounded(std::uint64_t size) { return (size + page - 1) / page * page; }

    explicit ModelSession(const ModelGrant& grant) : grant_(grant) {}
    [[nodiscard]] const ModelGrant& grant() const { return grant_; }

    /// Of either kind. One that its client closed counts until its call has come back.
    std::string open_lane();
    void close_lane() { --lanes_; }
    [[nodiscard]] unsigned lanes() const { return lanes_; }

    /// What an allocation of `size` bytes is told; added() follows on "ok".
    [[nodiscard]] std::string allocate(std::uint64_t size) const;
    /// A dma-buf of `real` bytes, of which the client says `claimed`.
    [[nodiscard]] std::string register_buffer(std::uint64_t claimed, std::uint64_t real) const;
    void added(std::uint32_t id, std::uint64_t charged, std::uint64_t usable) { buffers_[id] = {charged, usable}; }
    std::string free(std::uint32_t id);
    std::string map(std::uint32_t id, std::uint32_t mode, std::uint64_t length);
    std::string unmap(std::uint32_t id);
    [[nodiscard]] std::size_t buffers() const { return buffers_.size(); }
    /// Bytes charged: of its buffers, and of those that were handles of calls and are freed (KERNEL 1.11.5).
    [[nodiscard]] std::uint64_t memory() const;

    void opened(std::uint32_t module) { modules_.insert(module); }
    std::string close_module(std::uint32_t module);
    [[nodiscard]] const std::set<std::uint32_t>& modules() const { return modules_; }

    struct Range {
        std::uint32_t buffer = 0; ///< 0: bytes in the message itself
        std::uint64_t offset = 0, length = 0;
    };
    /// A call that copies one range into another.
    std::string echo(std::uint32_t module, const Range& in, const Range& out);
    /// A call with two handles; what becomes of them when they are freed is then another thing.
    std::string hand_over(std::uint32_t module, const Range& in, const Range& out);
    /// A call that stays in the DSP until end_call(); `call` is its number.
    std::string begin_call(std::uint32_t module, const Range& word, unsigned& call);
    void end_call(unsigned call);
    [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }
    [[nodiscard]] std::uint64_t calls() const { return calls_; } ///< that came back from the DSP
    [[nodiscard]] std::uint64_t failed() const { return failed_; }

    std::string open_events();
    void close_events() { events_ = false; }
    std::string serve(const std::string& interface);
    void stop_serving(const std::string& interface) { interfaces_.at(interface) = false; }

private:
    struct Buffer {
        std::uint64_t charged = 0, usable = 0; ///< bytes
        bool mapped = false, lent = false;
    };
    struct Call {
        std::uint32_t module = 0, buffer = 0;
    };
    [[nodiscard]] std::string room_for(std::uint64_t bytes) const;
    [[nodiscard]] std::string check(const Range& range) const;
    [[nodiscard]] bool in_use(std::uint32_t buffer) const;

    ModelGrant grant_;
    unsigned lanes_ = 0;
    std::map<std::uint32_t, Buffer> buffers_;
    std::uint64_t kept_ = 0; ///< bytes of freed handles
    std::set<std::uint32_t> modules_;
    std::map<unsigned, Call> in_flight_;
    unsigned last_call_ = 0;
    std::uint64_t calls_ = 0, failed_ = 0;
    bool events_ = false;
    std::map<std::string, bool> interfaces_; ///< whether it is served now
};

} // namespace fastrpc::test
