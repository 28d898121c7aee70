#include "vdsp/dsp/sha256.hpp"

#include <array>
#include <fmt/core.h>
#include <openssl/evp.h>
#include <stdexcept>

namespace fastrpc::vdsp {

std::string sha256(std::span<const std::byte> bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1)
        throw std::runtime_error("libcrypto offers no SHA-256");
    std::string text;
    for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
}

} // namespace fastrpc::vdsp
