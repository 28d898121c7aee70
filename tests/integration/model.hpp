// What fastrpcd and its hosts promise about quotas and lifetimes, as a few sums: the reference for random runs.
//
// It is told each operation and says what the answer must be, as raw_client.hpp words it ("ok", "quota",
// "QuotaExceeded", ...). On "ok" it has changed as the system must have changed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace fastrpc::test {

struct ModelLimits {
    unsigned sessions_per_uid = 0;
    unsigned lanes = 0; ///< of a session
    std::uint64_t memory = 0;
    unsigned buffers = 0;
    unsigned slots = 0; ///< for sessions, of the DSP
};

struct ModelSession {
    std::string user;
    unsigned lanes_granted = 0;
    std::uint64_t memory_granted = 0;
    unsigned lanes = 0;
    struct Buffer {
        std::uint64_t charged = 0, usable = 0; ///< bytes
    };
    std::map<std::uint32_t, Buffer> buffers; ///< by id
    std::set<std::uint32_t> modules;

    [[nodiscard]] std::uint64_t memory() const;
};

class Model {
public:
    explicit Model(const ModelLimits& limits) : limits_(limits) {}

    struct Wish {
        std::string pd = "unsigned";
        std::optional<unsigned> lanes;
        std::optional<std::uint64_t> memory;
    };
    /// The word for OpenSession. On "ok", `session` is the new one's number.
    std::string open(const std::string& user, const Wish& wish, unsigned& session);
    /// Its client, its host or its PD is gone.
    void end(unsigned session) { sessions_.erase(session); }
    void end_all() { sessions_.clear(); }

    std::string open_lane(unsigned session);
    void close_lane(unsigned session) { --sessions_.at(session).lanes; }
    /// What an allocation of `size` bytes is told; added() follows on "ok".
    [[nodiscard]] std::string allocate(unsigned session, std::uint64_t size) const;
    /// A dma-buf of `real` bytes, of which the client says `claimed`.
    [[nodiscard]] std::string register_buffer(unsigned session, std::uint64_t claimed, std::uint64_t real) const;
    void added(unsigned session, std::uint32_t id, std::uint64_t charged, std::uint64_t usable);
    std::string free(unsigned session, std::uint32_t id);
    /// Of a call with a range of a buffer as its input, and another as its output.
    struct Range {
        std::uint32_t buffer = 0;
        std::uint64_t offset = 0, length = 0;
    };
    [[nodiscard]] std::string call(unsigned session, std::uint32_t module, const Range& in, const Range& out) const;
    std::string close_module(unsigned session, std::uint32_t module);

    [[nodiscard]] const std::map<unsigned, ModelSession>& sessions() const { return sessions_; }
    [[nodiscard]] ModelSession& at(unsigned session) { return sessions_.at(session); }
    [[nodiscard]] unsigned sessions_of(const std::string& user) const;
    [[nodiscard]] std::uint64_t lanes_granted() const;

    static constexpr std::uint64_t page = 4096;
    static std::uint64_t rounded(std::uint64_t size) { return (size + page - 1) / page * page; }

private:
    [[nodiscard]] std::string room_for(const ModelSession& session, std::uint64_t bytes) const;
    [[nodiscard]] static bool inside(const ModelSession& session, const Range& range, std::string& told);
    ModelLimits limits_;
    unsigned last_ = 0;
    std::map<unsigned, ModelSession> sessions_;
};

} // namespace fastrpc::test
