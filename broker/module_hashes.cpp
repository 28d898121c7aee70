#include "broker/module_hashes.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/core.h>
#include <gcrypt.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <type_traits>
#include <unistd.h>

namespace fastrpc::broker {
namespace {

struct Close {
    void operator()(gcry_md_hd_t digest) const noexcept { ::gcry_md_close(digest); }
};
using Digest = std::unique_ptr<std::remove_pointer_t<gcry_md_hd_t>, Close>;

// libgcrypt, and not the OpenSSL of the rest: libsystemd brings it along, and it costs fastrpcd 1.2 MiB less.
Digest sha256() {
    static const bool ready = [] {
        if (::gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0) return true; // by another library
        ::gcry_check_version(nullptr);
        ::gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        return ::gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0) == 0;
    }();
    gcry_md_hd_t raw = nullptr;
    return ready && ::gcry_md_open(&raw, GCRY_MD_SHA256, 0) == 0 ? Digest(raw) : nullptr;
}

// Read and not mapped: a page of a memory file that was never written may not be there to be had.
Result<Sha256> sha256_of(const ModuleFile& file, const std::stop_token& stop) {
    const Digest digest = sha256();
    if (!digest) return fail(ErrorKind::system, "libgcrypt offers no SHA-256");
    std::vector<std::byte> part(std::size_t{1} << 18);
    for (std::uint64_t at = 0; at < file.size;) {
        if (stop.stop_requested()) return fail(ErrorKind::lost, "fastrpcd ends");
        const ssize_t got = ::pread(file.fd.get(), part.data(), part.size(), static_cast<off_t>(at));
        if (got <= 0) return fail_errno("reading the file of module " + file.name, got < 0 ? errno : EIO);
        ::gcry_md_write(digest.get(), part.data(), static_cast<std::size_t>(got));
        at += static_cast<std::uint64_t>(got);
    }
    Sha256 hash{};
    const unsigned char* sum = ::gcry_md_read(digest.get(), GCRY_MD_SHA256);
    if (sum == nullptr) return fail(ErrorKind::system, "computing the SHA-256 of module " + file.name + " failed");
    std::memcpy(hash.data(), sum, hash.size());
    return hash;
}

Result<std::vector<Sha256>> hashes_of(const std::vector<ModuleFile>& files, const std::stop_token& stop) {
    std::vector<Sha256> hashes;
    for (const ModuleFile& file : files) {
        const auto hash = sha256_of(file, stop);
        if (!hash) return std::unexpected(hash.error());
        hashes.push_back(*hash);
    }
    return hashes;
}

} // namespace

Result<std::unique_ptr<ModuleHashes>> ModuleHashes::start(sd_event* loop) {
    UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell) return fail_errno("making the eventfd of module hashes", errno);
    std::unique_ptr<ModuleHashes> hashes(new ModuleHashes(std::move(bell)));
    auto ready = Source::io(loop, hashes->bell_.get(), EPOLLIN, [raw = hashes.get()] { raw->finish(); });
    if (!ready) return std::unexpected(ready.error());
    hashes->ready_ = std::move(*ready);
    return hashes;
}

ModuleHashes::~ModuleHashes() = default;

Status ModuleHashes::hash(std::uint32_t uid, std::shared_ptr<const std::vector<ModuleFile>> files, Done done) {
    const auto own = of_uid_.find(uid);
    if (all_ >= max_waiting || (own != of_uid_.end() && own->second >= max_per_uid))
        return fail(ErrorKind::busy, "too many module files wait to be looked at; try again in a second");
    if (!thread_.joinable()) { // most systems never need it
        try {
            thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
        } catch (const std::system_error& error) {
            return fail_errno("starting a thread that looks at modules", error.code().value());
        }
    }
    ++of_uid_[uid];
    ++all_;
    {
        const std::scoped_lock lock(mutex_);
        waiting_[uid].push_back({uid, std::move(files), std::move(done), std::nullopt});
    }
    wanted_.notify_one();
    return {};
}

void ModuleHashes::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (wanted_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
        auto next = waiting_.upper_bound(last_);
        if (next == waiting_.end()) next = waiting_.begin();
        last_ = next->first;
        Job job = std::move(next->second.front());
        next->second.pop_front();
        if (next->second.empty()) waiting_.erase(next);
        lock.unlock();
        job.hashes = hashes_of(*job.files, stop);
        lock.lock();
        done_.push_back(std::move(job));
        ::eventfd_write(bell_.get(), 1);
    }
}

void ModuleHashes::finish() {
    eventfd_t rung = 0;
    ::eventfd_read(bell_.get(), &rung);
    std::deque<Job> done;
    {
        const std::scoped_lock lock(mutex_);
        done.swap(done_);
    }
    for (Job& job : done) {
        --all_;
        if (--of_uid_[job.uid] == 0) of_uid_.erase(job.uid);
        job.done(std::move(*job.hashes));
    }
}

} // namespace fastrpc::broker
